package dlp

import "bytes"

// columns glues single letters in lines of nothing else, as od(1) prints them without its offsets.
func (s *scan) columns(v view) {
	var out []byte
	lo, at, rows := 0, 0, 0
	flush := func() {
		if rows >= 2 && len(out) >= minRun && varied(out) {
			s.apart(v, min(lo, len(v.text)), min(at, len(v.text)), bytes.Clone(out), "columns", true)
		}
		out, rows = out[:0], 0
	}
	for line := range bytes.SplitSeq(v.text, []byte{'\n'}) {
		n := len(out)
		if out = letterRow(out, line); len(out) == n {
			flush()
			lo = at + len(line) + 1
		} else {
			rows++
		}
		at += len(line) + 1
	}
	flush()
}

// letterRow appends what a line of single letters says, or nothing.
func letterRow(to, line []byte) []byte {
	line = bytes.Trim(line, " \t\r")
	if len(line) == 0 || len(line) > 512 || len(line) > 2 && line[1] > ' ' && line[0] != '\\' {
		return to
	}
	n := len(to)
	for len(line) > 0 {
		switch {
		case len(line) == 1 || line[1] == ' ' || line[1] == '\t':
			to, line = append(to, line[0]), line[1:]
		case line[0] == '\\' && (len(line) == 2 || line[2] == ' ' || line[2] == '\t'):
			b, _ := escapedByte(line)
			to, line = append(to, b), line[2:]
		default:
			return to[:n]
		}
		line = bytes.TrimLeft(line, " \t")
	}
	return to
}
