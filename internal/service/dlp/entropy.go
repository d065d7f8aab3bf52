package dlp

import (
	"bytes"
	"encoding/base64"
	"math"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// The lengths between which a run is taken for a value that was drawn by lot. What is longer is
// data, and is decoded.
const (
	minDrawn = 20
	maxDrawn = 200
)

// entropy finds values that look drawn by lot, whatever they are for. Hashes, UUIDs, digests of
// lock files and base64 of text are none.
func (s *scan) entropy(v view) {
	if v.guess > 0 || len(v.steps) > 0 && v.steps[len(v.steps)-1] != "url" && v.steps[len(v.steps)-1] != "escapes" {
		return // what a guess decoded to looks drawn
	}
	p := v.text
	for i := 0; i < len(p); {
		if !drawnByte(p[i]) {
			i++
			continue
		}
		lo := i
		for i < len(p) && drawnByte(p[i]) {
			i++
		}
		if i-lo < minDrawn || i-lo > maxDrawn || digested(p[:lo]) || bytes.HasPrefix(p[lo:i], []byte("sha")) {
			continue
		}
		at := lo
		for piece := range bytes.SplitSeq(p[lo:i], []byte{'/'}) {
			if drawn(piece) && !numbered(piece) && !rules.Example(piece) {
				s.add(v, at, at+len(piece), rules.HighEntropy, "", piece)
			}
			at += len(piece) + 1
		}
	}
}

func drawnByte(b byte) bool { return class[b]&in64 != 0 || b == '=' }

// numbered finds the identifiers that APIs of model providers give to what they made. They are drawn
// by lot and no secret, and a conversation is full of them.
func numbered(value []byte) bool {
	for _, kind := range []string{"toolu_", "srvtoolu_", "msg_", "req_", "call_", "chatcmpl-", "resp_", "run_", "thread_", "asst_", "file-", "file_", "fc_", "rs_", "ws_", "batch_"} {
		if bytes.HasPrefix(value, []byte(kind)) {
			return true
		}
	}
	return false
}

// digested reports whether what stands before a value says that it is a digest.
func digested(before []byte) bool {
	before = bytes.ToLower(before[max(0, len(before)-12):])
	for _, mark := range []string{"sha1-", "sha256-", "sha384-", "sha512-", "sha256:", "sha512:", "h1:", "md5-", "md5:", "base64,"} {
		if bytes.HasSuffix(before, []byte(mark)) {
			return true
		}
	}
	return false
}

// makeup is what a value is made of.
type makeup struct {
	digits, upper, lower, turns int
	hexes                       bool
}

func makeupOf(value []byte) makeup {
	m := makeup{hexes: true}
	var last uint8
	for i, b := range value {
		kind := class[b] & (inUpper | inLower)
		switch kind {
		case inUpper:
			m.upper++
		case inLower:
			m.lower++
		default:
			m.digits++
		}
		m.hexes = m.hexes && class[b]&inHex != 0
		if i > 0 && kind != last {
			m.turns++
		}
		last = kind
	}
	return m
}

// drawn reports whether value looks drawn by lot from letters of both cases and digits, or from
// hex of a length that no hash has.
func drawn(value []byte) bool {
	value = longestPiece(bytes.TrimRight(value, "="))
	if len(value) < minDrawn {
		return false
	}
	n, m, h := len(value), makeupOf(value), rules.Entropy(value)
	enough := h > 0.78*math.Log2(float64(n))
	switch {
	case m.hexes:
		return !hashLength(n) && m.digits > 2 && m.upper+m.lower > 2 && h > 2.8
	case m.upper > 1 && m.lower > 1 && m.digits > 1:
		return m.turns*5 >= 2*n && enough && !spelt(value)
	case m.digits > 2 && (m.upper == 0 || m.lower == 0):
		return n >= 24 && m.turns*5 >= n && enough && h > 3.3
	}
	return false
}

func hashLength(n int) bool {
	return n == 32 || n == 40 || n == 56 || n == 64 || n == 96 || n == 128
}

// longestPiece takes words with separators apart: the longest piece tells.
func longestPiece(value []byte) []byte {
	if bytes.Count(value, []byte{'-'})+bytes.Count(value, []byte{'_'}) <= len(value)/10 {
		return value
	}
	longest := value[:0]
	for _, piece := range bytes.FieldsFunc(value, func(r rune) bool { return r == '-' || r == '_' }) {
		if len(piece) > len(longest) {
			longest = piece
		}
	}
	return longest
}

// spelt reports whether value is base64 of text: what it says was looked at.
func spelt(value []byte) bool {
	for _, b64 := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		raw := make([]byte, b64.DecodedLen(len(value)))
		n, err := b64.Decode(raw, value)
		if err != nil {
			continue
		}
		plain := 0
		for _, b := range raw[:n] {
			if b >= ' ' && b <= '~' || b == '\n' || b == '\t' || b == '\r' {
				plain++
			}
		}
		return plain*10 >= n*9
	}
	return false
}

// fewestDigits is how many digits a number of those that numberBy looks for has at least.
const fewestDigits = 11

// numberBy reports whether so many digits stand around a place: of a card's number with no more than
// one sign between two of them.
func numberBy(p []byte, at, digits int, card bool) bool {
	n, gap := 0, 0
	for _, b := range p[max(0, at-80):min(len(p), at+120)] {
		switch {
		case b >= '0' && b <= '9':
			if n++; n >= digits {
				return true
			}
			gap = 0
		case card:
			if gap++; gap > 1 {
				n = 0
			}
		}
	}
	return false
}
