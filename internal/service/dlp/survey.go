package dlp

import (
	"math/bits"
	"strings"
)

// block is how many bytes a mark is about: those of one mask.
const block = 64

// mark says what there is to do in a block. Clean traffic has blocks of words and blocks of noise,
// and both are told here by counting bits, so that no decoder ever walks through them.
type mark uint8

const (
	markText   mark = 1 << iota // eight printable bytes in a row: a keyword may stand here
	markOdd                     // not words alone: the decoders look here
	markRunes                   // letters beyond ASCII
	markDrawn                   // a run of a token's bytes, some of which look drawn rather than written
	markNumber                  // as many digits, with those of the blocks before, as a card's number has
)

// How much of it, in two blocks that touch, makes text odd. Prose and code have next to none of each.
const (
	oddTurns   = 7  // a capital or a digit within a word, but for the humps of camelCase, and signs
	oddSmall   = 4  // of these, in a text of a few kilobytes
	oddRun     = 3  // of these, when there is a run of sixteen bytes of a token
	oddDigits  = 20 // digits
	oddNumbers = 10 // numbers
	oddSingles = 10 // words of one letter
	mostText   = 40 // printable bytes of a block that make it text
	someText   = 32 // and so many that there may be pieces of it

	tiny  = 512 // bytes of a text that is odd in any case
	small = 4096
)

const (
	isLower = 1 << iota
	isUpper
	isDigit
	isSign
	isText
	isHigh
	isOdd   // a sign that neither prose nor code puts between letters
	isMagic // the byte of a compression's mark that is rarest in text
)

var kinds = func() (t [256]uint8) {
	for b := range 256 {
		c := byte(b)
		switch {
		case c >= 'a' && c <= 'z':
			t[b] = isLower
		case c >= 'A' && c <= 'Z':
			t[b] = isUpper
		case c >= '0' && c <= '9':
			t[b] = isDigit
		case c == '+' || c == '/' || c == '-' || c == '_':
			t[b] = isSign
		case c >= 0x80:
			t[b] = isHigh
		case strings.IndexByte("!#$%&*<>?@^`|~\\", c) >= 0:
			t[b] = isOdd
		}
		if b >= ' ' && b <= '~' || b == '\n' || b == '\t' || b == '\r' {
			t[b] |= isText
		}
	}
	for b, back := range magicAt {
		if back > 0 || b == 0x1f || b == 0xfd {
			t[b] |= isMagic
		}
	}
	return t
}()

// masks are one bit a byte of a block. A number says that so many bytes in a row end there.
type masks struct {
	word, word2, word4, word8 uint64
	text, text2, text4        uint64
	upper, upper2, upper4     uint64
	alnum, alnum2, alnum4     uint64
	lower, digit, magic, odd  uint64
	humps                     uint64 // capitals that begin a word within another

	turns, numbers, singles, digits int
	long                            bool // twenty letters and digits in a row
}

// survey appends a mark for each block of p, and where compressed data may begin. What a guess led
// to has to look odd, however short it is.
func survey(p []byte, guess bool, marks []mark, packs []int) ([]mark, []int) {
	var two [2]masks
	m, last := &two[0], &two[1]
	var tail [block]byte
	bar, all := oddTurns, mark(0)
	var counts [5]int // of digits, in as many blocks as numberBy looks at
	digits := 0
	if len(p) <= small {
		bar = oddSmall
	}
	if len(p) <= tiny && !guess {
		all = markOdd
	}
	for at := 0; at < len(p); at += block {
		q := &tail
		if len(p)-at >= block {
			q = (*[block]byte)(p[at:])
		} else {
			copy(tail[:], p[at:])
		}
		is := surveyBlock(q, m, last) | all
		n := bits.OnesCount64(m.digit)
		slot := at / block % len(counts)
		if digits += n - counts[slot]; digits >= fewestDigits {
			is |= markNumber
		}
		counts[slot] = n
		if odd(q, m, last, bar, guess) {
			is |= markOdd
			if at > 0 {
				marks[len(marks)-1] |= markOdd
			}
		}
		if m.word8 != 0 && (m.turns+last.turns > 0 || m.digits >= 8 || m.long || last.long) || m.upper4&(m.upper4<<4|last.upper4>>60) != 0 {
			is |= markDrawn
		}
		for ; m.magic != 0; m.magic &= m.magic - 1 {
			i := at + bits.TrailingZeros64(m.magic)
			if i < len(p) {
				if i -= magicAt[p[i]]; i >= 0 && i+1 < len(p) && magicFirst[p[i]]&magicSecond[p[i+1]] != 0 && magic(p[i:]) != "" {
					packs = append(packs, i)
				}
			}
		}
		m, last = last, m
		marks = append(marks, is)
	}
	return marks, packs
}

func surveyBlock(q *[block]byte, m, last *masks) (is mark) {
	m.humps, m.turns, m.numbers, m.singles, m.digits, m.long = 0, 0, 0, 0, 0, false // odd fills them in
	var bit [8]uint64                                                               // in the order of isLower and those behind it
	classify(q, &kinds, &bit)
	lower, upper, digit, text := bit[0], bit[1], bit[2], bit[4]
	m.odd, m.magic = bit[6], bit[7]
	m.lower, m.upper, m.digit, m.text = lower, upper, digit, text
	m.word = lower | upper | digit | bit[3]

	m.text2 = text & (text<<1 | last.text>>63)
	m.text4 = m.text2 & (m.text2<<2 | last.text2>>62)
	if m.text4&(m.text4<<4|last.text4>>60) != 0 {
		is |= markText
	}
	m.word2 = m.word & (m.word<<1 | last.word>>63)
	m.word4 = m.word2 & (m.word2<<2 | last.word2>>62)
	m.word8 = m.word4 & (m.word4<<4 | last.word4>>60)
	m.upper2 = upper & (upper<<1 | last.upper>>63)
	m.upper4 = m.upper2 & (m.upper2<<2 | last.upper2>>62)
	m.alnum = lower | upper | digit
	m.alnum2 = m.alnum & (m.alnum<<1 | last.alnum>>63)
	m.alnum4 = m.alnum2 & (m.alnum2<<2 | last.alnum2>>62)
	if bit[5] != 0 && runes(q) {
		is |= markRunes
	}
	return is
}

// runes reports whether most of the bytes beyond ASCII make letters.
func runes(q *[block]byte) bool {
	first, rest := runeMasks(q)
	first &^= 1 << 63
	leads, broken := bits.OnesCount64(first), bits.OnesCount64(first&^(rest>>1))
	return leads > 0 && 4*broken <= leads
}

// runeKinds has the first bytes of UTF-8's letters as one bit, and the others as another.
var runeKinds = func() (t [256]uint8) {
	for b := 0x80; b < 0xc0; b++ {
		t[b] = 2
	}
	for b := 0xc2; b < 0xf5; b++ {
		t[b] = 1
	}
	return t
}()

// odd reports whether the decoders have to look at a block, and at the one before it.
func odd(q *[block]byte, m, last *masks, bar int, guess bool) bool {
	lower := m.lower<<1 | last.lower>>63
	upper := m.upper<<1 | last.upper>>63
	digit := m.digit<<1 | last.digit>>63
	starts := m.alnum &^ (m.alnum<<1 | last.alnum>>63)
	noise, runs := bits.OnesCount64(m.text) < mostText, false
	if noise {
		// Runs, and bytes at equal distances, as those of UTF-16 and of short records.
		two, three, four := starts&(starts>>2), starts&(starts>>3), starts&(starts>>4)
		two, three, four = two&(two>>4), three&(three>>6), four&(four>>8)
		runs = two&(two>>8)|three&(three>>12)|four&(four>>16)|m.word8&(m.word8<<8|last.word8>>56) != 0
		if !runs && (m.text4&(m.text4<<4|last.text4>>60) == 0 || bits.OnesCount64(m.text) < someText) {
			return false // else its turns count: a run among noise may be drawn
		}
	}
	humps := m.lower >> 1 &^ (1 << 63) // what follows is lower
	turns := m.upper&lower&^humps | m.upper&digit | m.digit&(lower|upper) | m.lower&digit
	m.turns, m.humps = bits.OnesCount64(turns), m.upper&lower&humps
	if between := m.odd & (m.alnum<<1 | last.alnum>>63) & (m.alnum>>1 | 1<<63); between != 0 {
		m.turns += 2 * bits.OnesCount64(between)
	}
	m.digits = bits.OnesCount64(m.digit)
	if noise {
		return runs || m.turns >= oddTurns-1
	}
	m.numbers = bits.OnesCount64(m.digit &^ digit)
	m.singles = bits.OnesCount64(starts &^ (m.alnum >> 1))
	n := m.turns + last.turns
	if n >= bar || n >= oddRun && m.word8&(m.word8<<8|last.word8>>56) != 0 {
		return true
	}
	eight := m.alnum4 & (m.alnum4<<4 | last.alnum4>>60)
	if ends := eight & (m.alnum4<<8 | last.alnum4>>56) & (m.alnum4<<12 | last.alnum4>>52) & (m.alnum4<<16 | last.alnum4>>48); ends != 0 && (guess || n > 0 || !camel(ends, m, last)) {
		m.long = true
		return true // twenty in a row, and no name
	}
	if m.digits+last.digits >= oddDigits || m.numbers+last.numbers >= oddNumbers || m.singles+last.singles >= oddSingles {
		return true
	}
	return evenly(q, m, starts)
}

// camel reports whether a capital that begins a word stands within the runs of twenty that end at ends.
func camel(ends uint64, m, last *masks) bool {
	within := ends | ends>>1
	within |= within >> 2
	within |= within >> 4
	within |= within >> 8
	within |= ends>>16 | ends>>17 | ends>>18 | ends>>19
	before := uint64(0)
	if first := bits.TrailingZeros64(ends); first < 19 {
		before = ^uint64(0) << (64 - 19 + first)
	}
	return m.humps&within|last.humps&before != 0
}

// evenly reports whether five words stand at equal distances, with the same sign between all.
func evenly(q *[block]byte, m *masks, starts uint64) bool {
	for d := 2; d <= 9; d++ {
		two := starts & (starts >> d)
		for five := two & (two >> (2 * d)) & (starts >> (4 * d)) &^ 1; five != 0; five &= five - 1 {
			i := bits.TrailingZeros64(five)
			within := uint64(1)<<(4*d+1) - 1
			if bits.OnesCount64(starts>>i&within) != 5 {
				continue
			}
			sep := q[i-1]
			if q[i+d-1] != sep || q[i+2*d-1] != sep || q[i+3*d-1] != sep || q[i+4*d-1] != sep {
				continue
			}
			if d <= 3 || sep != ' ' && sep != '\n' || (m.upper|m.digit)>>i&within != 0 {
				return true
			}
		}
	}
	return false
}

// zone is a part of a text that the decoders look at.
type zone struct{ lo, hi int }

// zones calls do with the parts of n bytes that carry a mark, and what stands around them.
func zones(marks []mark, is mark, around, n int, do func(zone)) {
	const gap = 4 // blocks between two zones that make them one
	for b := 0; b < len(marks); b++ {
		if marks[b]&is == 0 {
			continue
		}
		lo, end := b, b
		for ; b < len(marks) && b <= end+2*around+gap; b++ {
			if marks[b]&is != 0 {
				end = b
			}
		}
		b = end
		do(zone{max(0, lo-around) * block, min(n, (end+1+around)*block)})
	}
}
