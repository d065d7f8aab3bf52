package rules

import (
	"crypto/sha256"
	_ "embed"
	"strings"
	"sync"
)

//go:embed bip39.txt
var words string // the English list of BIP 39, in its order

// SeedPhrase is the name of the finding of a wallet's recovery phrase.
const SeedPhrase = "seed-phrase"

// UnreadableArchive is the name of the finding of an archive or a message that cannot be read.
const UnreadableArchive = "unreadable-archive"

// Words is the list of BIP 39.
type Words struct {
	may   [1 << 10]uint64 // a bit for the hash of each word
	index func() map[string]int
}

// Phrases returns the list.
func Phrases() *Words {
	w := &Words{index: sync.OnceValue(func() map[string]int {
		m := map[string]int{}
		for i, word := range strings.Fields(words) {
			m[word] = i
		}
		return m
	})}
	var word uint64
	for i := range len(words) {
		if words[i] != '\n' {
			word = word<<8 | uint64(words[i])
			continue
		}
		h := hashed(word)
		w.may[h>>6] |= 1 << (h & 63)
		word = 0
	}
	return w
}

func hashed(word uint64) uint16 { return uint16(word * 0x9E3779B97F4A7C15 >> 48) }

// May reports whether a word, its lower-case letters as the bytes of a number, may be on the list.
func (w *Words) May(word uint64) bool {
	h := hashed(word)
	return w.may[h>>6]&(1<<(h&63)) != 0
}

// Phrase finds a recovery phrase among words; n is 0 where there is none.
func (w *Words) Phrase(words []string) (at, n int) { return phrase(w.index(), words) }

// phrase finds the first 12 to 24 words whose checksum holds, in a run of the list's words that is
// hardly longer; n is 0 where there is none. In a longer one some words always have the sum of some
// length, so that only the longest phrases are told there.
func phrase(index map[string]int, words []string) (at, n int) {
	numbers := make([]int, len(words))
	for i, w := range words {
		number, ok := index[w]
		if !ok {
			number = -1
		}
		numbers[i] = number
	}
	for lo := 0; lo < len(numbers); {
		hi := lo
		for hi < len(numbers) && numbers[hi] >= 0 {
			hi++
		}
		for _, n := range [...]int{24, 21, 18, 15, 12} {
			if hi-lo < n || hi-lo > n+3 && n < 24 {
				continue
			}
			for at := lo; at+n <= hi; at++ {
				if scattered(numbers[at:at+n]) && checkedPhrase(numbers[at:at+n]) {
					return at, n
				}
			}
		}
		lo = hi + 1
	}
	return 0, 0
}

// scattered reports whether words look drawn from the whole list: hardly one comes twice, and
// they stand in no order.
func scattered(numbers []int) bool {
	seen, rises := map[int]bool{}, 0
	for i, n := range numbers {
		seen[n] = true
		if i > 0 && n > numbers[i-1] {
			rises++
		}
	}
	return len(seen) >= len(numbers)-1 && rises < len(numbers)-2
}

// checkedPhrase verifies what BIP 39 puts behind the entropy: a bit of its SHA-256 for each 32.
func checkedPhrase(numbers []int) bool {
	var bits []byte
	for _, n := range numbers {
		for shift := 10; shift >= 0; shift-- {
			bits = append(bits, byte(n>>shift&1))
		}
	}
	check := len(bits) / 33
	raw := make([]byte, (len(bits)-check)/8)
	for i := range raw {
		for _, bit := range bits[8*i : 8*i+8] {
			raw[i] = raw[i]<<1 | bit
		}
	}
	sum := sha256.Sum256(raw)
	for i, bit := range bits[len(bits)-check:] {
		if sum[i/8]>>(7-i%8)&1 != bit {
			return false
		}
	}
	return true
}
