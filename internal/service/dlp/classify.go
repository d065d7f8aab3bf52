package dlp

import "encoding/binary"

// classifyPlain is classify for any machine: eight entries are put into one word, and each of their bits
// gathered by one multiplication.
func classifyPlain(p *[block]byte, table *[256]uint8, out *[8]uint64) {
	*out = [8]uint64{}
	for j := 0; j < block; j += 8 {
		raw := binary.LittleEndian.Uint64(p[j : j+8 : j+8])
		x := uint64(table[byte(raw)]) | uint64(table[byte(raw>>8)])<<8 | uint64(table[byte(raw>>16)])<<16 | uint64(table[byte(raw>>24)])<<24 |
			uint64(table[byte(raw>>32)])<<32 | uint64(table[byte(raw>>40)])<<40 | uint64(table[byte(raw>>48)])<<48 | uint64(table[byte(raw>>56)])<<56
		for bit := range out {
			out[bit] |= gather(x>>bit) << j
		}
	}
}

// gather makes one byte of the lowest bits of eight.
func gather(x uint64) uint64 { return (x & 0x0101010101010101) * 0x0102040810204080 >> 56 }

// runeMasksPlain is runeMasks for any machine.
func runeMasksPlain(p *[block]byte) (first, rest uint64) {
	var bit [8]uint64
	classifyPlain(p, &runeKinds, &bit)
	return bit[0], bit[1]
}
