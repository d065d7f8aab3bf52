package dlp

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
)

// digits are an alphabet: what each byte stands for, or none.
type digits [256]uint8

const none = 0xff

func alphabet(abc string) *digits {
	var d digits
	for i := range d {
		d[i] = none
	}
	for i := range len(abc) {
		d[abc[i]] = uint8(i)
	}
	return &d
}

const alphabet58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// large are the bases whose text is one large number.
var large = []struct {
	name string
	base uint64
	of   *digits
}{
	{"base58", 58, alphabet(alphabet58)},
	{"base62", 62, alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")},
	{"base62", 62, alphabet("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")},
	{"base62", 62, alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")},
	{"base36", 36, alphabet("0123456789abcdefghijklmnopqrstuvwxyz")},
	{"base36", 36, alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")},
	{"decimal number", 10, alphabet("0123456789")},
}

// numeral reads a run as one large number.
func (s *scan) numeral(v view, lo, hi int, text []byte, turned string) {
	if len(text) < 20 || len(text) > maxNumeral {
		return
	}
	for _, b := range large {
		if b.base == 10 && len(text) < 40 {
			continue
		}
		if out := number(text, b.base, b.of); out != nil {
			if turned != "" {
				s.perhaps(v, lo, hi, out, turned+b.name)
			} else {
				s.child(v, lo, hi, out, b.name)
			}
		}
	}
}

// number is nil where the result is not all text.
func number(text []byte, base uint64, of *digits) []byte {
	for _, c := range text {
		if of[c] == none {
			return nil
		}
	}
	if !leads(text, base, of) || len(text) > 256 && !leadsOn(text, base, of) {
		return nil
	}
	out := wordsOf(text, base, of)
	out = bytes.TrimLeft(out, "\x00")
	odd := 0
	for _, b := range out {
		if b < ' ' && b != '\n' && b != 0 || b > '~' { // zeros are UTF-16's
			odd++
		}
	}
	if odd*10 > len(out) && magic(out) == "" {
		return nil
	}
	return out
}

// maxNumeral is how many digits of one number are read: no window holds more of it for certain.
const maxNumeral = overlap

// wordsOf is a number's bytes. It takes as many digits at once as one word holds.
func wordsOf(text []byte, base uint64, of *digits) []byte {
	var words []uint32 // little end first
	for len(text) > 0 {
		times, carry := uint64(1), uint64(0)
		for len(text) > 0 && times*base < 1<<32 {
			carry, times, text = carry*base+uint64(of[text[0]]), times*base, text[1:]
		}
		for i := range words {
			carry += uint64(words[i]) * times
			words[i] = uint32(carry)
			carry >>= 32
		}
		if carry > 0 {
			words = append(words, uint32(carry))
		}
	}
	out := make([]byte, 0, 4*len(words))
	for _, n := range slices.Backward(words) {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return out
}

// leadsOn is leads for the first sixteen bytes, so that next to no long run has to be read to its end to
// be told from text.
func leadsOn(text []byte, base uint64, of *digits) bool {
	const precision = 256
	first, rest := wordsOf(text[:48], base, of), len(text)-48
	value := new(big.Float).SetPrec(precision).SetInt(new(big.Int).SetBytes(first))
	square := new(big.Float).SetPrec(precision).SetUint64(base)
	for ; rest > 0; rest >>= 1 {
		if rest&1 != 0 {
			value.Mul(value, square)
		}
		square.Mul(square, square)
	}
	// The value is a fraction of one, times as many bits.
	bits := value.MantExp(value)
	value.SetMantExp(value, 128+(bits+7)&7-7)
	whole, _ := value.Int(nil)
	odd, lead := 0, whole.FillBytes(make([]byte, 17))[1:]
	for _, b := range lead {
		if b < ' ' && b != '\n' && b != 0 || b > '~' {
			odd++
		}
	}
	return odd <= 2 || magic(lead) != ""
}

// leads reports whether the first three bytes of a number can be those of a text or of packed data.
// They follow from its first digits and its length, without reading it all.
func leads(text []byte, base uint64, of *digits) bool {
	for len(text) > 0 && of[text[0]] == 0 {
		text = text[1:]
	}
	first, n := 0.0, 0
	for ; n < len(text) && n < 14 && first < 1<<52/float64(base); n++ {
		first = first*float64(base) + float64(of[text[n]])
	}
	if n == 0 {
		return false
	}
	bits := math.Log2(first) + float64(len(text)-n)*math.Log2(float64(base))
	if bits < 64 {
		return true
	}
	top := math.Exp2(bits - 8*math.Floor(bits/8)) // the first byte, and a fraction for those behind it
	odd := 0
	for i := range 3 {
		b := math.Floor(top)
		if i == 0 && slices.Contains([]byte{0x1f, 0x28, 'P', 'B', 0x58, 0x68, 0x78}, byte(b)) {
			return true
		}
		if b < ' ' && b != '\n' || b > '~' {
			odd++
		}
		top = (top - b) * 256
	}
	return odd < 2
}

// fives are base32 with other alphabets than RFC 4648's first.
var fives = []struct {
	name string
	of   *digits
}{
	{"base32hex", alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUV")},
	{"base32hex", alphabet("0123456789abcdefghijklmnopqrstuv")},
	{"Crockford's base32", alphabet("0123456789ABCDEFGHJKMNPQRSTVWXYZ")},
	{"Crockford's base32", alphabet("0123456789abcdefghjkmnpqrstvwxyz")},
}

func (s *scan) otherFives(v view, lo, hi int, text []byte) {
	if len(text) < 24 {
		return
	}
	for _, kind := range fives {
		out := make([]byte, 0, len(text)*5/8)
		acc, bits := uint32(0), 0
		for _, c := range text {
			d := kind.of[c]
			if d == none {
				out = nil
				break
			}
			acc, bits = acc<<5|uint32(d), bits+5
			if bits >= 8 {
				bits -= 8
				out = append(out, byte(acc>>bits))
			}
		}
		s.perhaps(v, lo, hi, out, kind.name)
	}
}

var digits91 = alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,./:;<=>?@[]^_`{|}~\"")

func (s *scan) base91(v view, lo, hi int, text []byte) {
	out := make([]byte, 0, len(text))
	acc, bits, first, printable := uint32(0), 0, -1, 0
	for _, c := range text {
		d := digits91[c]
		if d == none {
			break
		}
		if first < 0 {
			first = int(d)
			continue
		}
		n := uint32(first + 91*int(d))
		first = -1
		acc |= n << bits
		if bits += 14; n&8191 > 88 {
			bits--
		}
		for ; bits >= 8; bits -= 8 {
			if b := byte(acc); b >= ' ' && b <= '~' || b == '\n' {
				printable++
			}
			out, acc = append(out, byte(acc)), acc>>8
		}
		if len(out) >= 12 && printable*4 < len(out)*3 {
			return
		}
	}
	if first >= 0 {
		out = append(out, byte(acc|uint32(first)<<bits))
	}
	s.perhaps(v, lo, hi, out, "base91")
}

var digitsZ85 = func() (t [256]int16) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#") {
		t[c] = int16(i)
	}
	return t
}()
