package secret

import (
	"net/netip"
	"strings"
	"unicode"
)

// minGuarded is the fewest bytes that can be told from ordinary words.
const minGuarded = 6

// Ordinary reports whether a value that is passed on under a name needs no guard, because its
// form is that of a setting: a word, a number, a path, an address, a locale, a URL without a
// password. Where the name says that it is a secret, only its length counts.
func Ordinary(name string, value String) bool {
	v := strings.TrimSpace(value.value)
	switch {
	case len(v) < minGuarded:
		return true
	case telling(name):
		return false
	case strings.Contains(v, "://"):
		_, rest, _ := strings.Cut(v, "://")
		authority, _, _ := strings.Cut(rest, "/")
		return !strings.Contains(authority, "@") && !strings.ContainsAny(rest, "?#")
	case strings.HasPrefix(v, "/"), strings.HasPrefix(v, "./"), strings.HasPrefix(v, "~"):
		return true
	case addressed(v):
		return true
	}
	for _, word := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" ,;:=./_-@", r) }) {
		if !plainWord(word) {
			return false
		}
	}
	return true
}

// telling reports whether a variable's name says that its value is secret.
func telling(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"KEY", "TOKEN", "SECRET", "PASS", "PWD", "CRED", "AUTH", "PRIVATE", "COOKIE", "SESSION", "WEBHOOK", "DSN", "SALT"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "_PAT") || strings.HasSuffix(name, "_PIN")
}

func addressed(v string) bool {
	_, err := netip.ParseAddr(v)
	_, err2 := netip.ParseAddrPort(v)
	_, err3 := netip.ParsePrefix(v)
	return err == nil || err2 == nil || err3 == nil
}

// plainWord is letters only, or digits only, or letters with a short number at the end, such as
// en, 8080, utf8.
func plainWord(w string) bool {
	letters := strings.TrimRightFunc(w, unicode.IsDigit)
	digits := len(w) - len(letters)
	if letters == "" {
		return digits <= 8
	}
	if digits > 4 || len(letters) > 16 {
		return false
	}
	turns := 0 // inside a word the case changes once or twice: camelCase
	var last bool
	for i, r := range letters {
		if !unicode.IsLetter(r) {
			return false
		}
		upper := unicode.IsUpper(r)
		if i > 0 && upper != last {
			turns++
		}
		last = upper
	}
	return turns <= 4
}
