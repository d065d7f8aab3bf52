package dlp

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// maxDictionary is what LZMA's writers use at most unless they are told otherwise (xz -9). Its pages
// are taken as they are written to.
const maxDictionary = 64 << 20

// Filters of the xz format (version 1.2.1, section 5.3).
const (
	filterDelta = 3
	filterLast  = 11 // of those that only change addresses of machine code
	filterLZMA2 = 0x21
)

// unxz reads the blocks of one xz stream up to its index. Checksums are skipped: a wrong one changes
// nothing in what is read.
type unxz struct {
	src   *counted
	check int64 // bytes of a block's check
	block io.Reader
	begin int64 // of the block's data
}

// newXZ passes the stream's header.
func newXZ(r io.ByteReader, src io.Reader) (io.Reader, error) {
	c := &counted{r: r, src: src}
	var head [12]byte
	if err := fill(c, head[:]); err != nil {
		return nil, err
	}
	// A check of 1, 4, 8… up to 64 bytes, by what its number is in threes.
	check := int64(0)
	if id := head[7] & 0x0f; id > 0 {
		check = 4 << ((id - 1) / 3)
	}
	return &unxz{src: c, check: check}, nil
}

func (u *unxz) Read(p []byte) (int, error) {
	for {
		if u.block == nil {
			if err := u.next(); err != nil {
				return 0, err
			}
		}
		n, err := u.block.Read(p)
		if err == io.EOF {
			u.block = nil
			for pad := u.check + (u.begin-u.src.n)&3; pad > 0; pad-- {
				if _, err := u.src.ReadByte(); err != nil {
					return n, io.EOF
				}
			}
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next passes a block's header; the index ends the stream.
func (u *unxz) next() error {
	size, err := u.src.ReadByte()
	if err != nil {
		return err
	}
	if size == 0 {
		return io.EOF
	}
	head := make([]byte, 4*int(size)+3)
	if err := fill(u.src, head); err != nil {
		return err
	}
	capacity, err := dictionary(head)
	if err != nil {
		return err
	}
	u.begin = u.src.n
	u.block, err = lzma.Reader2Config{DictCap: capacity}.NewReader2(u.src)
	return err
}

// dictionary is the size that a block's header names. It is an error where the block was filtered so
// that text is none any more.
func dictionary(head []byte) (int, error) {
	flags, p := head[0], bytes.NewReader(head[1:])
	for _, bit := range []byte{0x40, 0x80} {
		if flags&bit != 0 {
			if _, err := binary.ReadUvarint(p); err != nil {
				return 0, errUnreadable
			}
		}
	}
	for range flags&3 + 1 {
		id, err := binary.ReadUvarint(p)
		if err != nil {
			return 0, errUnreadable
		}
		n, err := binary.ReadUvarint(p)
		if err != nil || n > uint64(p.Len()) {
			return 0, errUnreadable
		}
		switch {
		case id == filterLZMA2 && n == 1:
			bits, _ := p.ReadByte()
			return dictionaryOf(bits)
		case id <= filterDelta || id > filterLast:
			return 0, errUnreadable
		}
		_, _ = p.Seek(int64(n), io.SeekCurrent)
	}
	return 0, errUnreadable
}

// dictionaryOf reads a size of one byte, as LZMA2 has it (section 5.3.1).
func dictionaryOf(bits byte) (int, error) {
	if bits > 40 {
		return 0, errUnreadable
	}
	size := int64(2|bits&1) << (bits/2 + 11)
	if size > maxDictionary {
		return 0, errUnreadable
	}
	return int(size), nil
}

// newLzip passes a member's header, which is LZMA's own written shorter.
func newLzip(r io.ByteReader, src io.Reader) (io.Reader, error) {
	var head [6]byte
	if err := fill(r, head[:]); err != nil {
		return nil, err
	}
	bits := head[5] & 0x1f
	if head[4] != 1 || bits < 12 || bits > 29 {
		return nil, errBlock
	}
	size := uint32(1) << bits
	size -= size / 16 * uint32(head[5]>>5)
	return raw(src, 0x5d, size, noSize)
}

const noSize = ^uint64(0)

// raw reads LZMA data whose header was kept elsewhere.
func raw(src io.Reader, properties byte, size uint32, length uint64) (io.Reader, error) {
	head := append([]byte{properties}, binary.LittleEndian.AppendUint32(nil, size)...)
	head = binary.LittleEndian.AppendUint64(head, length)
	return newLZMA(io.MultiReader(bytes.NewReader(head), src))
}

// newLZMA reads the format that LZMA had before xz.
func newLZMA(src io.Reader) (io.Reader, error) {
	r, err := lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(src)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// alone reports whether p begins as that format does: its properties, a dictionary of one or two bits,
// a length that is unknown or possible, and the zero with which its coder starts.
func alone(p []byte) bool {
	if len(p) < 18 || p[0] >= 225 || p[13] != 0 {
		return false
	}
	size, length := binary.LittleEndian.Uint32(p[1:]), binary.LittleEndian.Uint64(p[5:])
	if size < 1<<12 || size&(size-1)&(size&(size-1)-1) != 0 || size > 1<<30 {
		return false
	}
	return length == noSize || length > 0 && length < 1<<38
}

// counted tells how many bytes were read.
type counted struct {
	r   io.ByteReader
	src io.Reader
	n   int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counted) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func fill(r io.ByteReader, p []byte) error {
	for i := range p {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		p[i] = b
	}
	return nil
}
