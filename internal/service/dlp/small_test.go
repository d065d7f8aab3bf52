package dlp_test

import (
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

func BenchmarkWarm(b *testing.B) {
	for b.Loop() {
		dlp.New([]dlp.Known{{Name: "K", Value: secret.New("correct-horse-Battery-9931-staple")}}).Warm()
	}
}

func BenchmarkSmallRequest(b *testing.B) {
	e := dlp.New(nil)
	e.Warm()
	body := []byte(`{"model":"x","messages":[{"role":"user","content":"` + filler(900) + `"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		s := e.Stream("body", all())
		s.Write(body)
		s.Close()
	}
}
