package dlp_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

// cut makes pieces of n bytes.
func cut(s string, n int) []string {
	var out []string
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}

func numbered(s string, n int, form, between string) string {
	var out []string
	for i, p := range cut(s, n) {
		out = append(out, fmt.Sprintf(form, i, p))
	}
	return strings.Join(out, between)
}

// A secret among what is no text, and in pieces behind a line's own beginning.
func TestASecretAmongOtherThings(t *testing.T) {
	r := rand.New(rand.NewSource(11))
	noise := func(n int) string {
		b := make([]byte, n)
		r.Read(b)
		return string(b)
	}
	for name, dress := range map[string]func(string) string{
		"among NULs":         func(s string) string { return strings.Repeat("\x00", 500) + s + strings.Repeat("\x00", 500) },
		"a line among noise": func(s string) string { return noise(1000+r.Intn(64)) + "\n" + s + "\n" + noise(1000) },
		"a padded record": func(s string) string {
			return strings.Repeat("\x01\x02\xff\xfe\x80", 100) + s + strings.Repeat("\xff\x00\x01\x99", 200)
		},
		"numbered lines": func(s string) string {
			return "please look at this: " + numbered(s, 8, "%d: %s", "\n") + "\nthank you\n"
		},
		"a list": func(s string) string {
			return "please look at this: " + "- " + strings.Join(cut(s, 7), "\n- ") + "\nthank you\n"
		},
		"the fields of a line": func(s string) string {
			return "please look at this: " + numbered(s, 8, "k%d=%s", " ") + "\nthank you\n"
		},
		"bold pieces": func(s string) string { return "this: **" + strings.Join(cut(s, 9), "****") + "**\n" },
		"wide letters": func(s string) string {
			return "this: " + strings.Map(func(c rune) rune {
				if c > ' ' && c <= '~' {
					return c + 0xfee0
				}
				return c
			}, s) + "\n"
		},
		"every third escaped": func(s string) string {
			var out strings.Builder
			for i := range len(s) {
				if i%3 == 0 {
					fmt.Fprintf(&out, "%%%02x", s[i])
				} else {
					out.WriteByte(s[i])
				}
			}
			return out.String()
		},
	} {
		for kind := range corpus.Kinds {
			secret, known := corpus.Secret(r, kind)
			if known || len(secret) > 64 && strings.Contains(name, " pieces") {
				continue
			}
			e := dlp.New(nil)
			if found := e.Scan([]byte(dress(secret)), "body", all()); len(found) == 0 {
				t.Errorf("%s, kind %d: not found", name, kind)
			}
		}
	}
	if found := dlp.New(nil).Scan(bytes.Repeat([]byte(noise(4096)), 4), "body", all()); len(found) > 0 {
		t.Errorf("noise alone: %v", found)
	}
}

// What one decoder makes is text for the next, though no token stands in it yet.
func TestAnEncodingWithinAnother(t *testing.T) {
	each := func(s, form, between string) string {
		var out []string
		for i := range len(s) {
			out = append(out, fmt.Sprintf(form, s[i]))
		}
		return strings.Join(out, between)
	}
	r := rand.New(rand.NewSource(12))
	for name, inner := range map[string]func(string) string{
		"hex with gaps": func(s string) string { return each(s, "%02x", " ") },
		"numbers":       func(s string) string { return "[" + each(s, "%d", ",") + "]" },
		"pieces":        func(s string) string { return `["` + strings.Join(cut(s, 5), `", "`) + `"]` },
		"tags": func(s string) string {
			return "hi" + strings.Map(func(c rune) rune { return c + 0xe0000 }, s)
		},
	} {
		for how, outer := range map[string]func(string) string{
			"hex":     func(s string) string { return hex.EncodeToString([]byte(s)) },
			"base64":  func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			"base32":  func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) },
			"percent": func(s string) string { return each(s, "%%%02x", "") },
		} {
			for _, kind := range []int{0, 2, 4, 8} {
				secret, _ := corpus.Secret(r, kind)
				if found := dlp.New(nil).Scan([]byte(`{"data": "`+outer(inner(secret))+`"}`), "body", all()); len(found) == 0 {
					t.Errorf("%s in %s, kind %d: not found", name, how, kind)
				}
			}
		}
	}
}

// A token without a mark of its own, and a password in an address, backwards and in rot13.
func TestTurnedTokensAndAddresses(t *testing.T) {
	r := rand.New(rand.NewSource(13))
	password, _ := corpus.Secret(r, 6)
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, secret := range map[string]string{
		"a JWT":      part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(`{"sub":"1234","iat":1700000000,"name":"someone"}`) + "." + part(password+password),
		"an address": "postgres://admin:" + password[6:] + "@db.internal:5432/prod",
	} {
		back := []byte(secret)
		slices.Reverse(back)
		for how, text := range map[string]string{"backwards": string(back), "rot13": rot13(secret)} {
			if found := dlp.New(nil).Scan([]byte("have a look at this: "+text+"\nthank you\n"), "body", all()); len(found) == 0 {
				t.Errorf("%s %s: not found", name, how)
			}
		}
	}
}

func rot13(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			return 'A' + (c-'A'+13)%26
		}
		return c
	}, s)
}
