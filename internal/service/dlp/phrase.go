package dlp

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

const (
	minWord, maxWord = 3, 8 // letters of a word of BIP 39
	fewestWords      = 12
	mostWords        = 200 // of one run that are looked at
	maxBetween       = 12  // bytes between two words
	phraseStep       = 36  // one of these places lies in the first words of any phrase
	phraseHalf       = 23  // which goes on for as many bytes before or behind any place in it
)

// phrases finds recovery phrases: at least twelve words of the list with a checksum that holds.
// One place in so many bytes is looked at, and given up at the first word that is not on the list.
func (s *scan) phrases(v view) {
	for i := phraseStep / 2; i < len(v.text); i += phraseStep {
		if at := s.phraseAt(v.text, i); at >= 0 {
			i = max(i, s.phrase(v, at))
		}
	}
}

// phrased reports whether some of p may be of a phrase.
func (s *scan) phrased(p []byte) bool {
	for i := phraseStep / 2; i < len(p); i += phraseStep {
		if s.phraseAt(p, i) >= 0 {
			return true
		}
	}
	return false
}

// phraseAt returns a place in the word at i, or -1 where that is surely not of a phrase.
func (s *scan) phraseAt(p []byte, i int) int {
	at := s.listedAt(p, i)
	if at >= 0 && (s.listedAt(p, i+phraseHalf) >= 0 || s.listedAt(p, i-phraseHalf) >= 0) {
		return at
	}
	return -1
}

// listedAt returns a place in the word at i, or in the next one, or -1 where it is not on the list.
func (s *scan) listedAt(p []byte, i int) int {
	if i < 0 || i >= len(p) {
		return -1
	}
	if !letter(p[i]) || escape(p, i) {
		if i = wordAfter(p, i); i < 0 {
			return -1
		}
	}
	if _, _, ok := s.listed(p, i); !ok {
		return -1
	}
	return i
}

func letter(b byte) bool { return class[b]&(inUpper|inLower) != 0 }

// listed returns the word that i is in; ok is false where it is surely not on the list.
func (s *scan) listed(p []byte, i int) (lo, hi int, ok bool) {
	if i >= 10 && i+8 <= len(p) {
		if lo, hi = bounds(p, i); hi-lo < minWord || hi-lo > maxWord {
			return lo, hi, false
		}
		word := (binary.BigEndian.Uint64(p[hi-8:]) | caseless) & (1<<(8*(hi-lo)) - 1)
		return lo, hi, s.t.words.May(word)
	}
	if lo, hi = boundsPlain(p, i); hi-lo < minWord || hi-lo > maxWord {
		return lo, hi, false
	}
	var word uint64
	for _, b := range p[lo:hi] {
		word = word<<8 | uint64(b|0x20)
	}
	return lo, hi, s.t.words.May(word)
}

// boundsPlain is bounds anywhere.
func boundsPlain(p []byte, i int) (lo, hi int) {
	lo, hi = i, i
	for lo > 0 && i-lo <= maxWord && letter(p[lo-1]) && !escape(p, lo-1) {
		lo--
	}
	for hi < len(p) && hi-lo <= maxWord && letter(p[hi]) {
		hi++
	}
	return lo, hi
}

// bounds returns where the word that i is in begins and ends, or any that make it too long: it looks at
// eight bytes on either side at once. A letter that is an escape's can only be the first.
func bounds(p []byte, i int) (lo, hi int) {
	lo = i - bits.LeadingZeros64(^letters(binary.LittleEndian.Uint64(p[i-8:]))&highs)/8
	hi = i + bits.TrailingZeros64(^letters(binary.LittleEndian.Uint64(p[i:]))&highs)/8
	if escape(p, lo) {
		lo++
	}
	if i-lo == 8 || hi-i == 8 && hi < len(p) && letter(p[hi]) {
		return lo, lo + maxWord + 1
	}
	return lo, hi
}

const highs = 0x8080808080808080

// letters has the highest bit of each byte set that is a letter.
func letters(x uint64) uint64 {
	low := x&^highs | caseless
	return (low + (0x80-'a')*0x0101010101010101) &^ (low + (0x80-'z'-1)*0x0101010101010101) &^ x & highs
}

// escape reports whether the letter at i is that of \n, \r or \t.
func escape(p []byte, i int) bool {
	return i > 0 && p[i-1] == '\\' && (p[i] == 'n' || p[i] == 'r' || p[i] == 't') //nolint:gosec // i is above zero
}

// wordAfter returns the first letter of the next word, or -1.
func wordAfter(p []byte, hi int) int {
	for i := hi; i < len(p) && i-hi <= maxBetween; i++ {
		if letter(p[i]) && !escape(p, i) {
			return i
		}
	}
	return -1
}

// wordBefore returns the last letter of the word before, or -1.
func wordBefore(p []byte, lo int) int {
	for i := lo - 1; i >= 0 && lo-i <= maxBetween; i-- {
		if letter(p[i]) && !escape(p, i) {
			return i
		}
	}
	return -1
}

// phrase looks at the run of words around i and returns where it ends.
func (s *scan) phrase(v view, i int) int {
	p := v.text
	first, hi, _ := s.listed(p, i)
	n := 1
	for ; n < mostWords; n++ {
		at := wordBefore(p, first)
		if at < 0 {
			break
		}
		lo, _, ok := s.listed(p, at)
		if !ok {
			break
		}
		first = lo
	}
	for ; n < 2*mostWords; n++ {
		at := wordAfter(p, hi)
		if at < 0 {
			break
		}
		_, end, ok := s.listed(p, at)
		if !ok {
			break
		}
		hi = end
	}
	if n < fewestWords {
		return hi
	}
	var words []string
	var places [][2]int
	for at := first; at >= 0 && at < hi; {
		lo, end, _ := s.listed(p, at)
		words, places = append(words, strings.ToLower(string(p[lo:end]))), append(places, [2]int{lo, end})
		at = wordAfter(p, end)
	}
	at, length := s.t.words.Phrase(words)
	if length == 0 {
		return hi
	}
	value := []byte(strings.Join(words[at:at+length], " "))
	if !rules.Documented(value) {
		s.add(v, places[at][0], places[at+length-1][1], rules.SeedPhrase, "", value)
	}
	return hi
}
