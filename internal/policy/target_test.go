package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestCanonicalTarget(t *testing.T) {
	for raw, want := range map[string]string{
		"/":                "/",
		"/a%2Db":           "/a-b",
		"/a%2fb":           "/a%2Fb",
		"/%61?x=%2f%2F#":   "",
		"/é":               "/%C3%A9",
		"/a?x=1&y=%20":     "/a?x=1&y=%20",
		"/a?":              "/a?",
		"/@scope%2fname":   "/@scope%2Fname",
		"/a b":             "",
		"a":                "",
		"*":                "",
		"/..":              "",
		"/a/%2e./b":        "",
		"/a/..%2fb":        "",
		"/a/%252e%252e/b":  "",
		"/a/..;x/b":        "",
		`/a\b`:             "",
		"/a%":              "",
		"/a%4":             "",
		"/a%00":            "",
		"/a%0a":            "",
		"/?a=%00":          "",
		"/...":             "/...",
		"/.well-known/a":   "/.well-known/a",
		"/v1/{x}":          "/v1/%7Bx%7D",
		"http://a.example": "",
	} {
		got, err := policy.CanonicalTarget(raw)
		if (err != nil) != (want == "") || got.String() != want && want != "" {
			t.Errorf("%q: %q, %v; want %q", raw, got.String(), err, want)
		}
	}
}

func FuzzCanonicalTarget(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/%2e%2e/", "/a%2fb?c=%41", "/;x", "//", "/%252e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := policy.CanonicalTarget(raw)
		if err != nil {
			return
		}
		again, err := policy.CanonicalTarget(target.String())
		if err != nil || again != target {
			t.Fatalf("%q: %q is not canonical: %q, %v", raw, target, again, err)
		}
		for _, c := range []byte(target.String()) {
			if c <= ' ' || c >= 0x7f || c == '#' {
				t.Fatalf("%q: %q has %q", raw, target, c)
			}
		}
		for _, segment := range strings.Split(target.Path, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: %q has a dot segment", raw, target)
			}
		}
	})
}
