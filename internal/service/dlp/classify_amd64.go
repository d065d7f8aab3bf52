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

// runeMasks tells which bytes of a block may begin a letter of UTF-8 beyond ASCII, and which go on with one.
func runeMasks(p *[block]byte) (first, rest uint64) {
	if avx2 {
		return runeMasksAVX2(p)
	}
	return runeMasksPlain(p)
}

//go:noescape
func runeMasksAVX2(p *[block]byte) (first, rest uint64)
