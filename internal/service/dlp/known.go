package dlp

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

const (
	minPart = 12 // bytes of a known secret that count as it
	anchor  = 6  // bytes of an anchor, so that every part holds some at any alignment
)

type knownIndex struct {
	Known
	value string
	least int // bytes that must match
}

// knownHit is an anchor of a known secret: its bytes from at on, in an encoding.
type knownHit struct {
	secret int
	at     int
	form   form
}

type form uint8

const (
	formRaw form = iota
	formReversed
	formRotated
	formHex
	formBase64
	formBase32
)

func (f form) String() string {
	return [...]string{"", "reversed", "rot13", "hex", "base64", "base32"}[f]
}

// newKnown is false for a value too short to be told from ordinary words.
func newKnown(k Known) (knownIndex, bool) {
	value := k.Value.Reveal()
	if len(strings.TrimSpace(value)) < 6 || len(value) > 64<<10 {
		return knownIndex{}, false
	}
	return knownIndex{Known: k, value: value, least: min(len(value), minPart)}, true
}

// anchors adds every place of the secret in every form that keeps its bytes together.
func (k knownIndex) anchors(t *tables, n int) {
	v := k.value
	add := func(text string, hit knownHit) {
		t.grams.add(text, hit)
		t.calm.add(text, hit)
		t.leaf.add(text, hit)
		t.steps.add(text, hit)
	}
	step := 1
	if len(v) > 512 { // a key file: parts are still found, of twice the size
		step = minPart
	}
	for i := 0; i+anchor <= len(v); i += step {
		part := v[i : i+anchor]
		add(part, knownHit{n, i, formRaw})
		add(string(reversed.apply([]byte(part))), knownHit{n, i, formReversed})
		if turned := string(rotated.apply([]byte(part))); turned != part {
			add(turned, knownHit{n, i, formRotated})
		}
		add(hex.EncodeToString([]byte(part)), knownHit{n, i, formHex})
		b64 := base64.StdEncoding.EncodeToString([]byte(part))
		add(b64, knownHit{n, i, formBase64})
		if url := base64.URLEncoding.EncodeToString([]byte(part)); url != b64 {
			add(url, knownHit{n, i, formBase64})
		}
		if i+5 <= len(v) {
			add(base32.StdEncoding.EncodeToString([]byte(v[i:i+5])), knownHit{n, i, formBase32})
		}
	}
}

// match decodes around a hit and returns the span in p and how much of the secret stands there.
func (k knownIndex) match(p []byte, at int, hit knownHit) (lo, hi, matched int) {
	switch hit.form {
	case formRaw:
		return k.grow(p, at, hit.at, func(b byte) byte { return b })
	case formRotated:
		return k.grow(p, at, hit.at, rot13)
	case formReversed:
		a, b := max(0, at-len(k.value)), min(len(p), at+len(k.value)+anchor)
		turned := reversed.apply(p[a:b])
		lo, hi, matched = k.grow(turned, b-at-anchor, hit.at, func(b byte) byte { return b })
		return b - hi, b - lo, matched
	case formHex:
		return k.decoded(p, at, hit.at, 2, 1, func(s []byte) ([]byte, bool) {
			out := make([]byte, 1)
			_, err := hex.Decode(out, s)
			return out, err == nil
		})
	case formBase64:
		return k.decoded(p, at, hit.at, 4, 3, func(s []byte) ([]byte, bool) {
			var quad [4]byte
			for i, b := range s {
				switch b {
				case '-':
					b = '+'
				case '_':
					b = '/'
				}
				quad[i] = b
			}
			out := make([]byte, 3)
			n, err := base64.StdEncoding.Decode(out, quad[:])
			return out[:n], err == nil && n > 0
		})
	case formBase32:
		return k.decoded(p, at, hit.at, 8, 5, func(s []byte) ([]byte, bool) {
			out := make([]byte, 5)
			n, err := base32.StdEncoding.Decode(out, []byte(strings.ToUpper(string(s))))
			return out[:n], err == nil && n == 5
		})
	}
	return 0, 0, 0
}

func (k knownIndex) grow(p []byte, at, in int, turn func(byte) byte) (lo, hi, matched int) {
	lo, hi = at, at
	a, b := in, in
	for hi < len(p) && b < len(k.value) && turn(p[hi]) == k.value[b] {
		hi, b = hi+1, b+1
	}
	for lo > 0 && a > 0 && turn(p[lo-1]) == k.value[a-1] {
		lo, a = lo-1, a-1
	}
	return lo, hi, b - a
}

// decoded grows by groups of in encoded bytes that hold out plain ones, then by what the groups
// at either end may still hold: a group cut by the part's edge cannot be told, and counts as
// none of it.
func (k knownIndex) decoded(p []byte, at, in, group, plain int, decode func([]byte) ([]byte, bool)) (lo, hi, matched int) {
	lo, hi = at, at
	a, b := in, in
	for hi+group <= len(p) && b < len(k.value) {
		out, ok := decode(p[hi : hi+group])
		n := 0
		for ok && n < len(out) && b+n < len(k.value) && out[n] == k.value[b+n] {
			n++
		}
		if n == 0 {
			break
		}
		hi, b = hi+group, b+n
		if n < plain {
			break
		}
	}
	for lo >= group && a > 0 {
		out, ok := decode(p[lo-group : lo])
		n := 0
		for ok && n < len(out) && a-n > 0 && out[len(out)-1-n] == k.value[a-n-1] {
			n++
		}
		if n == 0 {
			break
		}
		lo, a = lo-group, a-n
		if n < plain {
			break
		}
	}
	return lo, hi, b - a
}
