package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
)

func TestStringNeverPrints(t *testing.T) {
	const value = "hunter2-hunter2"
	s := secret.New(value)
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb, s, &s, struct{ A secret.String }{s})
	}
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "token", s, "wrapped", map[string]any{"a": s})
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "token", s, "ptr", &s)
	enc, err := json.Marshal(map[string]any{"a": s, "b": &s})
	if err != nil {
		t.Fatal(err)
	}
	all := out.String() + buf.String() + string(enc)
	if strings.Contains(all, value) || strings.Contains(all, fmt.Sprintf("%x", value)) {
		t.Errorf("the value got out: %s", all)
	}
	if !strings.Contains(all, "***") {
		t.Errorf("no mask in %s", all)
	}
	if s.Reveal() != value || s.Empty() || !secret.New("").Empty() {
		t.Error("Reveal or Empty is wrong")
	}
}
