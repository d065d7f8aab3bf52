//go:build !amd64

package dlp

// classify writes, for each bit of the table's entries, which bytes of a block have it.
func classify(p *[block]byte, table *[256]uint8, out *[8]uint64) { classifyPlain(p, table, out) }

// runeMasks tells which bytes of a block may begin a letter of UTF-8 beyond ASCII, and which go on with one.
func runeMasks(p *[block]byte) (first, rest uint64) { return runeMasksPlain(p) }
