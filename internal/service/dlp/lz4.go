package dlp

import (
	"encoding/binary"
	"io"
	"slices"
)

// unlz4 reads one frame of LZ4 (its frame format 1.6.4, and the legacy one) block by block, without
// its checksums.
type unlz4 struct {
	r       io.ByteReader
	src     io.Reader
	legacy  bool
	checked bool   // a checksum stands behind each block
	past    []byte // what the next block may refer to
	ready   []byte
	block   []byte
}

const (
	lz4History = 64 << 10
	lz4Most    = 8 << 20 // of one block, the legacy format's
)

func newLZ4(r io.ByteReader, src io.Reader) (io.Reader, error) {
	u := &unlz4{r: r, src: src}
	var head [4]byte
	if err := fill(r, head[:]); err != nil {
		return nil, err
	}
	if u.legacy = head[0] == 0x02; u.legacy {
		return u, nil
	}
	var flags [2]byte
	if err := fill(r, flags[:]); err != nil {
		return nil, err
	}
	if flags[0]>>6 != 1 || flags[0]&2 != 0 || flags[1]&0x8f != 0 {
		return nil, errBlock
	}
	u.checked = flags[0]&0x10 != 0
	more := 1
	if flags[0]&8 != 0 {
		more += 8 // the content's size
	}
	if flags[0]&1 != 0 {
		more += 4 // a dictionary's number: what refers to it is left out
	}
	return u, skip(r, more)
}

func (u *unlz4) Read(p []byte) (int, error) {
	for len(u.ready) == 0 {
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.ready)
	u.ready = u.ready[n:]
	return n, nil
}

func (u *unlz4) next() error {
	var head [4]byte
	if err := fill(u.r, head[:]); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 {
		return io.EOF
	}
	stored := !u.legacy && size>>31 != 0
	size &= 1<<31 - 1
	if size > lz4Most+lz4Most/255+16 {
		return errBlock
	}
	u.block = append(u.block[:0], make([]byte, size)...)
	if _, err := io.ReadFull(u.src, u.block); err != nil {
		return err
	}
	if u.legacy {
		u.past = u.past[:0]
	}
	var out []byte
	ok := true
	if stored {
		out = slices.Concat(u.past, u.block)
	} else {
		out, ok = unblock(u.past, u.block)
	}
	u.ready = out[len(u.past):]
	u.past = slices.Clone(out[max(0, len(out)-lz4History):])
	if !ok {
		return errBlock
	}
	if u.checked {
		return skip(u.r, 4)
	}
	return nil
}

// unblock appends what a block holds to what came before it. It returns what could be read in any case.
func unblock(out, p []byte) ([]byte, bool) {
	begin := len(out)
	for len(p) > 0 {
		token := p[0]
		n, rest := lz4Length(int(token>>4), p[1:])
		if n > len(rest) {
			return append(out, rest...), false
		}
		out, p = append(out, rest[:n]...), rest[n:]
		if len(p) == 0 {
			return out, true // the last sequence has letters only
		}
		if len(p) < 2 {
			return out, false
		}
		back := int(binary.LittleEndian.Uint16(p))
		n, p = lz4Length(int(token&15), p[2:])
		n += 4
		if back == 0 || back > len(out) || len(out)-begin+n > lz4Most {
			return out, false
		}
		for from := len(out) - back; n > 0; n-- {
			out = append(out, out[from])
			from++
		}
	}
	return out, true
}

func lz4Length(n int, p []byte) (int, []byte) {
	if n < 15 {
		return n, p
	}
	for len(p) > 0 {
		b := p[0]
		n, p = n+int(b), p[1:]
		if b < 255 {
			break
		}
	}
	return n, p
}
