package dlp

import "io"

// unlzw reads what compress(1) writes: LZW with codes of nine bits and more, in groups of eight.
type unlzw struct {
	r      io.ByteReader
	most   uint // bits of a code at most
	clears bool // the code 256 empties the table

	prefix [1 << 16]uint16
	suffix [1 << 16]byte
	next   int // the first code that is free
	bits   uint
	acc    uint32
	have   uint
	used   uint // bits of this group's codes
	last   int
	first  byte
	ready  []byte
	stack  []byte
}

func newLZW(r io.ByteReader) (io.Reader, error) {
	var head [3]byte
	if err := fill(r, head[:]); err != nil {
		return nil, err
	}
	u := &unlzw{r: r, most: uint(head[2] & 0x1f), clears: head[2]&0x80 != 0, bits: 9, last: -1}
	if u.most < 9 || u.most > 16 {
		return nil, errUnreadable
	}
	u.empty()
	return u, nil
}

func (u *unlzw) empty() {
	u.next = 256
	if u.clears {
		u.next++
	}
	u.last = -1
}

func (u *unlzw) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(u.ready) == 0 {
			if err := u.code(); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], u.ready)
		n, u.ready = n+k, u.ready[k:]
	}
	return n, nil
}

// code reads one code into ready.
func (u *unlzw) code() error {
	if u.next > 1<<u.bits-1 && u.bits < u.most {
		if err := u.align(); err != nil {
			return err
		}
		u.bits++
	}
	code, err := u.take()
	if err != nil {
		return err
	}
	if code == 256 && u.clears {
		if err := u.align(); err != nil {
			return err
		}
		u.bits = 9
		u.empty()
		return nil
	}
	if u.last < 0 {
		if code > 255 {
			return errBlock
		}
		u.last, u.first = code, byte(code)
		u.ready = append(u.ready[:0], byte(code))
		return nil
	}
	u.stack = u.stack[:0]
	at := code
	if code >= u.next {
		if code > u.next {
			return errBlock
		}
		u.stack = append(u.stack, u.first)
		at = u.last
	}
	for at >= 256 {
		u.stack = append(u.stack, u.suffix[at])
		at = int(u.prefix[at])
	}
	u.first = byte(at)
	u.stack = append(u.stack, u.first)
	if u.next < 1<<u.most {
		u.prefix[u.next], u.suffix[u.next] = uint16(u.last), u.first
		u.next++
	}
	u.last = code
	u.ready = u.ready[:0]
	for i := len(u.stack) - 1; i >= 0; i-- {
		u.ready = append(u.ready, u.stack[i])
	}
	return nil
}

func (u *unlzw) take() (int, error) {
	for u.have < u.bits {
		b, err := u.r.ReadByte()
		if err != nil {
			return 0, err
		}
		u.acc |= uint32(b) << u.have
		u.have += 8
	}
	code := int(u.acc & (1<<u.bits - 1))
	u.acc >>= u.bits
	u.have -= u.bits
	u.used = (u.used + u.bits) % (8 * u.bits)
	return code, nil
}

// align passes the rest of a group: codes of another length begin behind it.
func (u *unlzw) align() error {
	for u.used != 0 {
		if _, err := u.take(); err != nil {
			return err
		}
	}
	return nil
}
