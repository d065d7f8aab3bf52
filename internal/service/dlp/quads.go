package dlp

// quads tell of four digits of base64 whether they can be three bytes of ASCII: what each digit must
// have, as one bit for the first, the second and the third.
type quads [256]uint8

var quadsOf = func() (t [4]quads) {
	for b := range 256 {
		for turned := range t {
			d := digits64[b]
			switch turn(turned) {
			case rotated:
				d = digits64[rot13(byte(b))]
			case swapped:
				d = digits64[swapCase(byte(b))]
			}
			if d < 32 {
				t[turned][b] |= 1
			}
			if d&8 == 0 {
				t[turned][b] |= 2
			}
			if d&2 == 0 {
				t[turned][b] |= 4
			}
		}
	}
	return t
}()

// aligned returns a bit for each alignment at which a run of base64, once it is turned, may hold what is
// worth a look: six letters in a row, which eight of them hold in any place, or the beginning of packed
// data or of letters beyond ASCII.
func aligned(text []byte, t turn) (at uint8) {
	table, first, third := &quadsOf[t], uint8(1), uint8(4)
	if t == reversed {
		first, third = third, first
	}
	last := uint8(0) // which of the last eight places begin three bytes of ASCII
	for i := 0; i+2 < len(text); i++ {
		last <<= 1
		if table[text[i]]&first|table[text[i+1]]&2|table[text[i+2]]&third == 7 {
			if last |= 1; last&0x11 == 0x11 {
				place := i
				if t == reversed {
					place = len(text) - 3 - i
				}
				at |= 1 << (place & 3)
			}
		}
	}
	var head [12]byte
	n := min(len(head), len(text))
	for i := range n {
		switch t {
		case reversed:
			head[i] = text[len(text)-1-i]
		case rotated:
			head[i] = rot13(text[i])
		case swapped:
			head[i] = swapCase(text[i])
		default:
			head[i] = text[i]
		}
	}
	for skip := 0; skip < 4 && skip+8 <= n; skip++ {
		var six [6]byte
		for i := range 2 {
			d := head[skip+4*i:]
			v := uint32(digits64[d[0]])<<18 | uint32(digits64[d[1]])<<12 | uint32(digits64[d[2]])<<6 | uint32(digits64[d[3]])
			six[3*i], six[3*i+1], six[3*i+2] = byte(v>>16), byte(v>>8), byte(v)
		}
		if magic(six[:]) != "" || six[0] >= 0xc2 && six[1]&0xc0 == 0x80 {
			at |= 1 << skip
		}
	}
	return at
}
