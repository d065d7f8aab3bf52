package dlp_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestWhatStandsInNoise glues tokens into what was drawn by lot: those that the noise may have made itself are
// not told from it, all others are.
func TestWhatStandsInNoise(t *testing.T) {
	const own = "tq7Rk2vWz9LmX4cB"
	e := dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New(own)}})
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		draw := func(n int) string {
			const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			b := make([]byte, n)
			for i := range b {
				b[i] = alphabet[r.Intn(len(alphabet))]
			}
			return string(b)
		}
		noise := func() string {
			b := make([]byte, 300)
			_, _ = r.Read(b)
			return base64.RawURLEncoding.EncodeToString(b)
		}
		short, body := "h"+"f_"+draw(34), draw(30)
		said := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("It says nothing at all. ", 9)))
		for _, c := range []struct {
			name, text string
			found      bool
		}{
			{"a short mark", noise() + short + noise(), false},
			{"a short mark at the noise's begin", `"` + short + noise() + `"`, true},
			{"a short mark at its end", `"` + noise() + short + `"`, true},
			{"a short mark between signs", noise() + ":" + short + "," + noise(), true},
			{"a short mark in a line", noise() + "\n" + short + "\n" + noise(), true},
			{"a short mark behind base64 of text", said + short + noise(), true},
			{"a short mark before base64 of text", noise() + short + said, true},
			{"a short mark within hex", hex.EncodeToString([]byte(draw(100))) + short + hex.EncodeToString([]byte(draw(100))), true},
			{"a short mark within words", strings.Repeat("some_words_in_a_row_", 9) + short + strings.Repeat("some_words_in_a_row_", 9), true},
			{"a long mark", noise() + "git" + "hub_pat_" + draw(60) + noise(), true},
			{"a checksum", noise() + "gh" + "p_" + body + sum62(body) + noise(), true},
			{"a known secret", noise() + own + noise(), true},
		} {
			if found := e.Scan([]byte(c.text), "body", all()); len(found) > 0 != c.found {
				t.Errorf("%d: %s: found %v", seed, c.name, found)
			}
		}
	}
}

// sum62 is the checksum at the end of a forge's token.
func sum62(body string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, out := crc32.ChecksumIEEE([]byte(body)), ""
	for range 6 {
		out, sum = string(digits[sum%62])+out, sum/62
	}
	return out
}

// TestNamesOfValues takes what a word names for a secret where it is a word, and not where it comes about
// within something drawn, or is a type's or a module's.
func TestNamesOfValues(t *testing.T) {
	value := fmt.Sprintf("%s%s", "q8Zt3mVx7Lw2", "Rb9Nc4Kd6P")
	for _, c := range []struct {
		text  string
		found bool
	}{
		{`api_key = "` + value + `"`, true},
		{`myPrivateKeyV2 = "` + value + `"`, true},
		{`privatekey: ` + value, true},
		{`set("token", "` + value + `")`, true},
		{`settings::api_key = "` + value + `"`, true},
		{`"x7Qkey9ZtB2mVp4RwL8sN1c": "` + value + `"`, false},
		{`["a9Xkey7Tq2Lm", "` + value + `"]`, false},
		{`"Cloud::Gateway::ApiKey": "c0ffee12` + `9a7b4d5e"`, false},
		{`accessKey = win32api.RegOpenKeyEx`, false},
	} {
		if found := dlp.New(nil).Scan([]byte(c.text), "body", all()); len(found) > 0 != c.found {
			t.Errorf("%s: found %v", c.text, found)
		}
	}
}
