package dlp

import (
	"bytes"
	"slices"
)

// In so much of what was drawn by lot any short mark comes about: of base64url three signs stand once in
// 262,144, and a few dozen rules are read forwards, backwards and turned.
const (
	chanceMark = 6   // a mark of more signs comes about once in 64^7
	chanceSide = 32  // so much of it stands before and after what a rule found,
	chanceRun  = 128 // and so much on both sides together
	chanceLook = 128
	chanceTail = 160 // of a secret without a given length, that reaches to the run's end
)

// chance reports whether what a rule found in v.text[a:b] stands amidst noise of its own alphabet, by a mark so
// short that the noise makes it itself. What is told by a checksum or by what it decodes to is none; neither is
// what stands at an end of the noise, or where what is beside it is text in base64.
func (k ruleHit) chance(v view, a, b int, value []byte) bool {
	r := k.rule
	if hexByRot47(v, value) {
		return true
	}
	if r.Named || r.Short || k.size > chanceMark || r.Checked(value) {
		return false
	}
	return v.amid && solid64(v.text[a:b]) || amidst(v.text, a, b)
}

// amidst reports whether p[a:b] stands in an unbroken run of noise that goes on at both sides of it.
func amidst(p []byte, a, b int) bool {
	if !solid64(p[a:b]) {
		return false
	}
	left, right := noiseBy(p, a-1, -1), noiseBy(p, b, 1)
	if b-a >= chanceTail && right == 0 && left >= 0 {
		right = chanceLook
	}
	return left >= chanceSide && right >= chanceSide && left+right >= chanceRun
}

func solid64(p []byte) bool {
	for _, c := range p {
		if class[c]&in64 == 0 {
			return false
		}
	}
	return true
}

// noiseBy is how many signs of base64url stand in p from i in a direction, lines counted as one run, if they
// are noise; -1 if they are not.
func noiseBy(p []byte, i, step int) int {
	var run stretchOf
	beyond := 0 // letters that are no digits of hex
	side := make([]byte, 0, chanceLook)
	for ; i >= 0 && i < len(p) && len(side) < chanceLook; i += step {
		c := p[i]
		if (c == '\n' || c == '\r') && len(side) > 0 {
			continue
		}
		if class[c]&in64 == 0 {
			break
		}
		side = append(side, c)
		if class[c]&(inUpper|inLower) != 0 && class[c]&inHex == 0 {
			beyond++
		}
	}
	for j, c := range side {
		turned := false
		if j > 0 {
			turned = turns(kinds[side[j-1]], kinds[c], j+1 < len(side) && kinds[side[j+1]]&isLower != 0)
		}
		run.add(kinds[c], turned)
	}
	if len(side) == 0 {
		return 0
	}
	if run.turns*6 < run.n || beyond*4 < run.n {
		return -1
	}
	if written(side) {
		return -1
	}
	slices.Reverse(side)
	if written(side) {
		return -1
	}
	return len(side)
}

// written reports whether signs of base64, read from some place on, are bytes that nearly all can be printed.
func written(side []byte) bool {
	for skip := range min(4, len(side)) {
		acc, plain, n := uint32(0), 0, 0
		for i, b := range side[skip:] {
			acc = acc<<6 | uint32(digits64[b])&63
			if i%4 == 0 {
				continue
			}
			n++
			if kinds[byte(acc>>(6-2*(i%4)))]&isText != 0 {
				plain++
			}
		}
		if n >= 12 && plain*8 >= n*7 {
			return true
		}
	}
	return false
}

// names reports whether a word such as "key" is a name that is given a value.
func (s *scan) names(v view, at int, hit ruleHit) bool {
	return assigned(v.text[at:], s.more && v.ends) && !amidDraw(v.text, at, hit.size) && !typed(v.text, at)
}

// amidDraw reports whether a word such as "key" stands within something drawn by lot, which then names no
// value: a line of base64, a value of a list.
func amidDraw(p []byte, at, size int) bool {
	lo, hi := at, at+size
	for lo > 0 && at-lo < chanceLook && class[p[lo-1]]&in64 != 0 {
		lo--
	}
	for hi < len(p) && hi-at < chanceLook && class[p[hi]]&in64 != 0 {
		hi++
	}
	turned := 0
	for i := lo + 1; i < hi; i++ {
		if turns(kinds[p[i-1]], kinds[p[i]], i+1 < hi && kinds[p[i+1]]&isLower != 0) {
			turned++
		}
	}
	if hi-lo >= minRun && turned*5 >= hi-lo {
		return true
	}
	rest := bytes.TrimLeft(p[hi:min(len(p), hi+8)], "=\"'\\ ")
	ends := len(rest) == 0 || rest[0] == ',' || rest[0] == '\n' || rest[0] == '\r' // of a line, of a value in a list
	return ends && hi-lo >= 12 && turned*8 >= hi-lo
}

// typed reports whether a word stands in the name of a type that is given a digest, as schemas have them.
func typed(p []byte, at int) bool {
	lo, hi := at, at
	for lo > 0 && at-lo < 64 && wordByte(p[lo-1]) {
		lo--
	}
	for hi < len(p) && hi-at < 64 && wordByte(p[hi]) {
		hi++
	}
	value := bytes.TrimLeft(p[hi:min(len(p), hi+32)], "\\\"': ")
	n := 0
	for n < len(value) && class[value[n]]&inHex != 0 {
		n++
	}
	return bytes.HasSuffix(p[:lo], []byte("::")) && n == 16 && n < len(value) && !wordByte(value[n])
}

// membered reports whether a value is a name within another, as code has them: each is letters, with a number
// in it at most.
func membered(value []byte) bool {
	names := bytes.Split(value, []byte{'.'})
	if len(names) < 2 {
		return false
	}
	for _, name := range names {
		digits, numbers := 0, 0
		for i, c := range name {
			switch {
			case c >= '0' && c <= '9':
				if digits++; i == 0 || class[name[i-1]]&(inLower|inUpper) != 0 || name[i-1] == '_' {
					numbers++
				}
			case class[c]&(inLower|inUpper) == 0 && c != '_':
				return false
			}
		}
		if len(name) == 0 || class[name[0]]&(inLower|inUpper) == 0 || numbers > 1 || digits > 3 || len(name) > 24 {
			return false
		}
	}
	return true
}

// hexByRot47 reports whether what rot47 made a token of is hex: of the digits 0 and 9 and 7 it makes a mark.
func hexByRot47(v view, value []byte) bool {
	if n := len(v.steps); n == 0 || v.steps[n-1] != "rot47" {
		return false
	}
	for _, b := range value {
		if b <= ' ' || b > '~' || class[33+(b-33+47)%94]&inHex == 0 {
			return false
		}
	}
	return true
}
