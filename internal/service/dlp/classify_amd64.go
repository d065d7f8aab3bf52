package dlp

import "golang.org/x/sys/cpu"

var avx2 = cpu.X86.HasAVX2

// classify writes, for each bit of the table's entries, which bytes of a block have it.
func classify(p *[block]byte, table *[256]uint8, out *[8]uint64) {
	if avx2 {
		classifyAVX2(p, table, out)
		return
	}
	classifyPlain(p, table, out)
}

//go:noescape
func classifyAVX2(p *[block]byte, table *[256]uint8, out *[8]uint64)
