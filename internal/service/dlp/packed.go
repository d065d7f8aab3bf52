package dlp

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// magic names the compression whose mark p begins with, or "".
func magic(p []byte) string { //nolint:cyclop // one case a form
	if len(p) < 6 {
		return ""
	}
	switch p[0] {
	case 0x1f:
		switch {
		case p[1] == 0x8b && p[2] == 8 && p[3] < 0x20:
			return "gzip"
		case p[1] == 0x9d && p[2]&0x60 == 0 && p[2]&0x1f >= 9 && p[2]&0x1f <= 16 && p[4]&1 == 0: // its first code is a byte
			return "compress"
		}
	case 0x28:
		if string(p[1:4]) == "\xb5\x2f\xfd" {
			return "zstd"
		}
	case 'P':
		if string(p[1:4]) == "K\x03\x04" && entry(p) {
			return "zip"
		}
	case 'B':
		if p[1] == 'Z' && p[2] == 'h' && p[3] >= '1' && p[3] <= '9' && p[4] == 0x31 && p[5] == 0x41 {
			return "bzip2"
		}
	case 0xfd:
		if string(p[1:6]) == "7zXZ\x00" && headed(p) {
			return "xz"
		}
	case 'L':
		if string(p[1:5]) == "ZIP\x01" {
			return "lzip"
		}
	case 0x04, 0x02:
		if string(p[:4]) == "\x04\x22\x4d\x18" && p[4]>>6 == 1 || string(p[:4]) == "\x02\x21\x4c\x18" {
			return "lz4"
		}
	case '7':
		if string(p[1:6]) == "z\xbc\xaf\x27\x1c" && headed(p) {
			return "7z"
		}
	case 'R':
		if string(p[1:6]) == "ar!\x1a\x07" && headed(p) {
			return "rar"
		}
	case 0x78, 0x68, 0x58:
		if (uint16(p[0])<<8|uint16(p[1]))%31 == 0 && p[1]&0x20 == 0 && deflated(p[2:]) {
			return "zlib"
		}
	}
	return ""
}

// deflated reports whether p can begin a block of RFC 1951 §3.2.
func deflated(p []byte) bool {
	switch p[0] >> 1 & 3 {
	case 0:
		return len(p) < 5 || p[1]^p[3] == 0xff && p[2]^p[4] == 0xff
	case 2:
		return p[0]>>3 <= 29 && p[1]&0x1f <= 29 && (len(p) < 10 || complete(p))
	}
	return p[0]&6 == 2 && (len(p) < 8 || fixed(p))
}

// complete reports whether the lengths with which a block of dynamic codes begins (RFC 1951 §3.2.7) use up all
// codes there are, or there is but one: else no reader takes it. p has ten bytes and more.
func complete(p []byte) bool {
	low, high := binary.LittleEndian.Uint64(p), uint64(p[8])|uint64(p[9])<<8
	space, codes := 0, 0
	for i := range 4 + int(low>>13&15) {
		at := 17 + 3*i
		n := low >> at
		if at >= 64 {
			n = high >> (at - 64)
		} else if at > 61 {
			n |= high << (64 - at)
		}
		if n &= 7; n > 0 {
			space, codes = space+128>>n, codes+1
		}
	}
	return space == 128 || codes == 1
}

// fixed reports whether a block of fixed codes (RFC 1951 §3.2.6) begins as one may with which data begins: with
// no repetition of what stands before it. It looks at the codes in eight bytes.
func fixed(p []byte) bool {
	x, left, out := binary.LittleEndian.Uint64(p)>>3, 61, 0
	for left >= 9+5+5+13 {
		code := int(bits.Reverse16(uint16(x)) >> 7)
		switch {
		case code>>2 == 0:
			return true // the block's end: another follows
		case code>>2 > 23 && code>>1 < 0xc0:
			x, left, out = x>>8, left-8, out+1
			continue
		case code>>1 >= 0xc8:
			x, left, out = x>>9, left-9, out+1
			continue
		}
		symbol, size := 256+code>>2, 7
		if code>>2 > 23 {
			symbol, size = 280+code>>1-0xc0, 8
		}
		if symbol > 285 {
			return false
		}
		if symbol >= 265 && symbol < 285 {
			size += (symbol - 261) / 4
		}
		x >>= size
		distance := int(bits.Reverse8(uint8(x)) >> 3)
		// The shortest distance of each code, but for the first four, is two or three times a power of two, and one.
		least := distance + 1
		if distance > 29 {
			return false
		}
		if distance >= 4 {
			least = (2+distance&1)<<(distance/2-1) + 1
		}
		return least <= out // what it repeats may be of any length
	}
	return true
}

// magicAt tells for one byte of each mark how far it stands from its beginning: a byte that is
// rare in text.
var magicAt = [256]int{
	0x1f: 0, 0xb5: 1, 0x03: 2, 'Z': 1,
	0x01: 1, 0x5e: 1, 0x9c: 1, 0xda: 1, // after 0x78
	0x05: 1, 'C': 1, 0x81: 1, 0xde: 1, // after 0x68
	0x09: 1, 'G': 1, 0x85: 1, 0xd4: 1, // after 0x58
	0x18: 3, 0xbc: 2, 0x1a: 4,
}

// magicFirst and magicSecond have a bit in common for each two bytes with which a mark may begin.
var magicFirst, magicSecond = func() (first, second [256]uint8) {
	for i, pair := range []struct{ first, second string }{
		{"\x1f", "\x8b\x9d"}, {"\x28", "\xb5"}, {"P", "K"}, {"BL", "Zh"}, {"\xfd7", "7z"}, {"\x04\x02", "\x22\x21"}, {"R", "a"},
	} {
		for _, b := range []byte(pair.first) {
			first[b] |= 1 << i
		}
		for _, b := range []byte(pair.second) {
			second[b] |= 1 << i
		}
	}
	for _, b := range []byte{0x58, 0x68, 0x78} { // zlib's
		first[b] |= 1 << 7
		for next := range 256 {
			if (uint16(b)<<8|uint16(next))%31 == 0 && next&0x20 == 0 {
				second[next] |= 1 << 7
			}
		}
	}
	return first, second
}()

// packed reads compressed data wherever in v it begins. Data that ends with the window is read
// as far as it goes: unpacking a stream's own compression is Stream's business.
func (s *scan) packed(v view, packs []int) {
	if len(v.steps) == 0 {
		return // Stream unpacks what begins in it, however long it is
	}
	p := v.text
	if name := opening(p); name != "" && !s.unpacked(v, 0, name) {
		return
	}
	for _, i := range packs {
		if !s.unpacked(v, i, magic(p[i:])) {
			return
		}
	}
}

// unpacked looks at what is packed from text[i] on; false says that there was too much of it.
func (s *scan) unpacked(v view, i int, name string) bool {
	p := v.text[i:]
	out, err := unpack(name, p, int(max(0, min(s.shared.left, int64(s.work)))))
	if !s.shared.spend(out, pixelsAt(v.text, i)) || errors.Is(err, errTooMuch) {
		s.limit(v, RuleWork)
		return false
	}
	if unread(err, name, i == 0) {
		s.sealed(v, i, name)
	}
	if len(out) >= plainRun && !s.packsMore(out) {
		out, _ = shortened(out)
	}
	if len(out) >= 6 {
		s.child(v, i, len(v.text), out, name)
	}
	return true
}

// packsMore reports whether something in p is packed.
func (s *scan) packsMore(p []byte) bool {
	m, n := len(s.marks), len(s.packs)
	s.marks, s.packs = survey(p, false, s.marks, s.packs)
	is := len(s.packs) > n || opening(p) != ""
	s.marks, s.packs = s.marks[:m], s.packs[:n]
	return is
}

// inflated is what raw DEFLATE data (RFC 1951) holds, or nil where it is none. It has no mark: what
// inflates to text without an error is taken for it.
func inflated(p []byte) []byte {
	if !deflated(p) || len(p) < 16 {
		return nil
	}
	src := bytes.NewReader(p)
	r := inflater(src)
	defer r.(io.Closer).Close() //nolint:errcheck,forcetypeassert // it is pooled
	var first [256]byte
	n, err := io.ReadFull(r, first[:])
	if !inflatedText(first[:n]) {
		return nil
	}
	out := first[:n]
	if err == nil {
		var rest bytes.Buffer
		_, err = io.CopyN(&rest, r, maxInflated)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // it ends, somewhere
		}
		out = append(out, rest.Bytes()...)
		n = len(out)
	}
	whole := errors.Is(err, io.ErrUnexpectedEOF) && src.Len() <= 16 || err == nil
	if n < 12 || !whole && n < 256 {
		return nil
	}
	return bytes.Clone(out)
}

const maxInflated = 1 << 20

// unbrotli is what a short text holds that the usual encoders of RFC 7932 packed, whose windows of 4 and
// 16 MiB show in its first bits; or nil. It has to end where its data does.
func unbrotli(p []byte) []byte {
	if len(p) < minRun || p[0]&0x0f != 0x0b && p[0]&0x0f != 0x0f {
		return nil
	}
	src := bytes.NewReader(p)
	r, ok := brotlis.Get().(*brotli.Reader)
	if !ok {
		r = brotli.NewReader(nil)
	}
	defer brotlis.Put(r)
	if r.Reset(src) != nil {
		return nil
	}
	out, err := io.ReadAll(io.LimitReader(r, maxInflated))
	if err != nil || len(out) < minPart || src.Len() > 0 || !inflatedText(out[:min(len(out), 256)]) {
		return nil
	}
	return out
}

var brotlis sync.Pool

// inflatedText tells text, of which there is some variety, from what noise inflates to.
func inflatedText(p []byte) bool {
	odd, kindsSeen := 0, 0
	var seen [256]bool
	for _, b := range p {
		if kinds[b]&(isText|isHigh) == 0 {
			odd++
		}
		if !seen[b] {
			seen[b] = true
			kindsSeen++
		}
	}
	return odd*16 <= len(p) && kindsSeen >= 10 || magic(p) != ""
}

var errTooMuch = errors.New("it unpacks to too much")

// unpack returns what could be read, also with an error.
func unpack(name string, p []byte, limit int) ([]byte, error) {
	r, err := unpacker(name, bytes.NewReader(p))
	if err != nil {
		return nil, err
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	if n > int64(limit) {
		err = errTooMuch
	}
	return out.Bytes(), err
}

// unpacker skips the containers' heads by itself, so that a wrong checksum or name changes
// nothing in what is read.
func unpacker(name string, r io.ByteReader) (io.Reader, error) {
	src, _ := r.(io.Reader)
	switch name {
	case "gzip":
		if err := skipGzip(r); err != nil {
			return nil, err
		}
		return inflater(src), nil
	case "zlib":
		if err := skip(r, 2); err != nil {
			return nil, err
		}
		return inflater(src), nil
	case "deflate":
		return inflater(src), nil
	case "zstd":
		d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20), zstd.IgnoreChecksum(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "br":
		return brotli.NewReader(src), nil
	case "bzip2":
		return bzip2.NewReader(src), nil
	case "xz":
		return newXZ(r, src)
	case "lzip":
		return newLzip(r, src)
	case "lzma":
		return newLZMA(src)
	case "lz4":
		return newLZ4(r, src)
	case "compress":
		return newLZW(r)
	case "pgp": // a message that is packed and not encrypted (RFC 4880, section 5.6)
		if err := skip(r, 2); err != nil {
			return nil, err
		}
		return inflater(src), nil
	case "zip":
		return zipEntry(r, src)
	}
	return nil, errUnreadable
}

// inflater hands out used readers: a wrong guess costs no memory then.
func inflater(src io.Reader) io.Reader {
	r, ok := inflaters.Get().(io.Reader)
	if !ok {
		return &pooled{flate.NewReader(src)}
	}
	if again, ok := r.(flate.Resetter); !ok || again.Reset(src, nil) != nil {
		return &pooled{flate.NewReader(src)}
	}
	return &pooled{r}
}

var inflaters sync.Pool

type pooled struct{ io.Reader }

func (p *pooled) Close() error {
	inflaters.Put(p.Reader)
	p.Reader = bytes.NewReader(nil)
	return nil
}

func skip(r io.ByteReader, n int) error {
	for range n {
		if _, err := r.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// skipGzip passes the head of RFC 1952 §2.3.
func skipGzip(r io.ByteReader) error {
	var head [10]byte
	for i := range head {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		head[i] = b
	}
	if head[0] != 0x1f || head[1] != 0x8b || head[2] != 8 {
		return errors.ErrUnsupported
	}
	if head[3]&4 != 0 {
		a, _ := r.ReadByte()
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		if err := skip(r, int(a)|int(b)<<8); err != nil {
			return err
		}
	}
	for _, flag := range []byte{8, 16} {
		for head[3]&flag != 0 {
			b, err := r.ReadByte()
			if err != nil {
				return err
			}
			if b == 0 {
				break
			}
		}
	}
	if head[3]&2 != 0 {
		return skip(r, 2)
	}
	return nil
}

// zipEntry passes one local file header (APPNOTE 4.3.7). A stored entry is plain text already.
func zipEntry(r io.ByteReader, src io.Reader) (io.Reader, error) {
	var head [30]byte
	for i := range head {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		head[i] = b
	}
	method, flags := binary.LittleEndian.Uint16(head[8:]), binary.LittleEndian.Uint16(head[6:])
	if flags&1 != 0 {
		return nil, errUnreadable
	}
	if err := skip(r, int(binary.LittleEndian.Uint16(head[26:]))+int(binary.LittleEndian.Uint16(head[28:]))); err != nil {
		return nil, err
	}
	switch method {
	case 0:
		return nil, io.EOF
	case 8:
		return inflater(src), nil
	case 12:
		return bzip2.NewReader(src), nil
	case 14:
		var lzma [9]byte // a version, a length, and the properties
		if err := fill(r, lzma[:]); err != nil {
			return nil, err
		}
		length := uint64(binary.LittleEndian.Uint32(head[22:]))
		if flags&2 != 0 || length == 0 || length == 1<<32-1 {
			length = noSize
		}
		return raw(src, lzma[4], binary.LittleEndian.Uint32(lzma[5:]), length)
	case 93:
		return unpacker("zstd", r)
	case 95:
		return newXZ(r, src)
	}
	return nil, errUnreadable
}
