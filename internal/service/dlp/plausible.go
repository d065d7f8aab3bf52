package dlp

import "strings"

// What a guess made of a text, such as pieces glued in the order in which they stand, is most often no text
// that anyone wrote: of each file of source code thousands of guesses are made. The decoders look at such a
// text only where it holds what an encoding looks like.

const (
	// A run of base64 changes its kind of letter at every third place. Of those that hold twenty bytes and
	// more, one in a hundred does so at fewer than at every eighth; of base32 and hex, which have but one
	// case, at fewer than at every twentieth.
	drawnMixed = 8
	drawnOne   = 20
	// Of base85, base91 and rot47 every fourth byte is neither letter nor digit.
	denseSigns = 8
)

// plausible reports whether the decoders have to look at what a guess made. Of letters beyond ASCII and of
// signs in a base no wrong guess makes text; of pieces that were glued, and of every other byte, any makes some.
func plausible(p []byte, step string) bool {
	switch {
	case step == stepJoined, step == stepBackwards:
		return encoded(p)
	case strings.HasPrefix(step, stepEvery):
		return encoded(p) || structured(p)
	}
	return true
}

// structured reports whether pieces may stand in p that are to be glued.
func structured(p []byte) bool {
	n := 0
	for _, b := range p {
		if b == '"' || b == '\'' || b == '=' || b == ':' || b == ',' || b == '\n' {
			n++
		}
	}
	return n >= 4
}

// encoded reports whether anything in p looks as if it were encoded: a run whose kinds of letters change
// as those of a draw do, signs as base85 has them, an escape, numbers, or single letters.
func encoded(p []byte) bool { //nolint:cyclop // one pass over the bytes; each kind is a case
	digits, singles, odd := 0, 0, 0
	var run, solid stretchOf
	for i, b := range p {
		k := kinds[b]
		if b <= ' ' || b > '~' {
			if solid.dense() || run.drawn() || run.spells(p[:i]) {
				return true
			}
			if k&isText == 0 {
				if odd++; odd >= 4 && odd*16 >= len(p) {
					return true // no text: what it is packed in is not known
				}
			}
			run, solid = stretchOf{}, stretchOf{}
			continue
		}
		switch b {
		case '%', '\\', '&':
			return true
		case '=':
			if i+2 < len(p) && (unhex(p[i+1]) >= 0 && unhex(p[i+2]) >= 0 || p[i+1] == '\n' || p[i+1] == '\r' || p[i+1] == '?' || p[i+1] == 'y') {
				return true
			}
		}
		if k&isDigit != 0 {
			if digits++; digits >= 12 && digits*3 >= len(p) {
				return true
			}
		}
		turned := false
		if i > 0 {
			turned = turns(kinds[p[i-1]], k, i+1 < len(p) && kinds[p[i+1]]&isLower != 0)
			if k&(isLower|isUpper|isDigit) != 0 && kinds[p[i-1]]&(isLower|isUpper|isDigit) == 0 && (i+1 == len(p) || kinds[p[i+1]]&(isLower|isUpper|isDigit) == 0) {
				if singles++; singles >= 8 {
					return true
				}
			}
		}
		solid.add(k, turned)
		if class[b]&in64 == 0 {
			if run.drawn() || run.spells(p[:i]) {
				return true
			}
			run = stretchOf{}
			continue
		}
		run.add(k, turned)
	}
	return digits >= 12 && digits*3 >= len(p) || run.drawn() || run.spells(p) || solid.dense()
}

// turns reports whether a letter's kind changes as it does not in words: at a digit, or at a capital that
// begins none.
func turns(before, kind uint8, lowerNext bool) bool {
	switch kind & (isLower | isUpper | isDigit) {
	case isUpper:
		return before&isDigit != 0 || before&isLower != 0 && !lowerNext
	case isLower:
		return before&isDigit != 0
	case isDigit:
		return before&(isLower|isUpper) != 0
	}
	return false
}

// stretchOf counts what a stretch of bytes is made of.
type stretchOf struct {
	n, turns, signs int
	any             uint8
}

func (r *stretchOf) add(kind uint8, turned bool) {
	r.n++
	r.any |= kind
	if turned {
		r.turns++
	}
	if kind&(isLower|isUpper|isDigit) == 0 {
		r.signs++
	}
}

// drawn reports whether a run of base64's letters may be one, or of an encoding with fewer letters.
func (r *stretchOf) drawn() bool {
	if r.n < minRun {
		return false
	}
	if r.any&isLower != 0 && r.any&isUpper != 0 {
		return r.turns*drawnMixed >= r.n
	}
	return r.turns*drawnOne >= r.n || r.any&(isLower|isUpper) == 0
}

// spells reports whether a run at the end of p, of too few turns to tell, is text in base64, forwards or
// backwards, or in base32: nine bytes in a row that one can print come about by chance once in ten thousand.
func (r *stretchOf) spells(p []byte) bool {
	if r.n < minRun {
		return false
	}
	p = p[len(p)-r.n:]
	for skip := range 4 {
		if prints(p, skip, 1, 6, digits64of) || prints(p, skip, -1, 6, digits64of) {
			return true
		}
	}
	if r.any&isLower != 0 && r.any&isUpper != 0 {
		return false
	}
	for skip := range 8 {
		if prints(p, skip, 1, 5, digit32) {
			return true
		}
	}
	return false
}

func digits64of(b byte) uint32 { return uint32(digits64[b]) }

func digit32(b byte) uint32 {
	if b <= '9' {
		return uint32(b-'2') + 26
	}
	return uint32(fold(b) - 'a')
}

// prints reports whether digits of so many bits, taken in a direction, spell nine bytes in a row that one can
// print.
func prints(p []byte, skip, step int, size uint, digit func(byte) uint32) bool {
	acc, bits, plain := uint32(0), uint(0), 0
	i := skip
	if step < 0 {
		i = len(p) - 1 - skip
	}
	for ; i >= 0 && i < len(p); i += step {
		acc, bits = acc<<size|digit(p[i])&(1<<size-1), bits+size
		if bits < 8 {
			continue
		}
		bits -= 8
		if plain++; kinds[byte(acc>>bits)]&isText == 0 {
			plain = 0
		} else if plain >= 9 {
			return true
		}
	}
	return false
}

// dense reports whether a run of printable bytes may be base85 or the like.
func (r *stretchOf) dense() bool {
	return r.n >= 20 && r.signs*denseSigns >= r.n && r.turns*10 >= r.n
}

// unlike reports whether a text begins or ends as no text does.
func unlike(p []byte) bool { return opening(p) != "" || packedBackwards(p) }

func anyOf(marks []mark) (is mark) {
	for _, b := range marks {
		is |= b
	}
	return is
}
