package dlp

import (
	"bytes"
	"strconv"
)

// dump reads what xxd, hexdump and od print: an offset, numbers or letters, and perhaps the text
// once more.
func (s *scan) dump(v view) {
	p := v.text
	if !bytes.Contains(p, []byte("0010")) && !bytes.Contains(p, []byte("0020")) && !bytes.Contains(p, []byte("10:")) {
		return
	}
	var fields [][]byte
	lo, end, rows, at := 0, 0, 0, 0
	flush := func() {
		if rows >= 2 {
			s.dumped(v, lo, end, fields)
		}
		fields, rows = fields[:0], 0
	}
	text := p
	if bytes.IndexByte(text, '\n') < 0 {
		text = bytes.ReplaceAll(text, []byte(`\n`), []byte("\n"))
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		row := dumpRow(bytes.TrimLeft(line, " \t\"+#>*/;|"))
		if at := bytes.Index(line, []byte("0000")); row == nil && at > 0 && !wordByte(line[at-1]) {
			row = dumpRow(line[at:]) // behind what stands before it
		}
		if row == nil && rows > 0 && len(line) > 8 {
			flush()
		}
		if row != nil {
			if rows == 0 {
				lo = min(at, len(p))
			}
			fields, rows = append(fields, row...), rows+1
			end = min(len(p), at+len(line))
		}
		at += len(line) + 1
	}
	flush()
}

// dumpRow is what stands behind a line's offset, or nil.
func dumpRow(line []byte) [][]byte {
	line = bytes.TrimPrefix(line, []byte("0x"))
	off := 0
	for off < len(line) && unhex(line[off]) >= 0 {
		off++
	}
	if off == 8 && off < len(line) && line[off] == '`' {
		for off++; off < len(line) && unhex(line[off]) >= 0; off++ {
		}
		off -= 9
		line = line[9:]
	}
	if off < 4 || off > 16 || off == len(line) || line[off] == '-' || line[off] == '.' {
		return nil
	}
	rest := bytes.TrimLeft(line[off:], ":")
	xxd := len(rest) < len(line)-off
	if cut := bytes.IndexByte(rest, '|'); cut >= 0 {
		rest = rest[:cut]
	} else if cut := bytes.Index(bytes.TrimLeft(rest, " \t"), []byte("  ")); cut > 24 || xxd && cut > 0 {
		rest = bytes.TrimLeft(rest, " \t")[:cut]
	}
	return dumpItems(rest)
}

// dumpItems are a row's numbers or letters.
func dumpItems(rest []byte) [][]byte {
	var out [][]byte
	for _, item := range bytes.Fields(rest) {
		if len(item) > 16 {
			break
		}
		if len(item) > 2 && item[1] == 'x' {
			item = item[2:] // as debuggers write numbers
		}
		if len(item) == 5 && item[2] == '-' {
			out, item = append(out, item[:2]), item[3:]
		}
		if len(item) == 3 && item[2] == '-' {
			item = item[:2]
		}
		out = append(out, item)
	}
	return out
}

// dumped reads the fields of a dump in each way that they can be meant.
func (s *scan) dumped(v view, lo, hi int, fields [][]byte) {
	var plain, swapped, octal, decimal, binary, signs []byte
	for _, f := range fields {
		if len(f)%2 == 0 {
			var word []byte
			for j := 0; j < len(f); j += 2 {
				if unhex(f[j]) < 0 || unhex(f[j+1]) < 0 {
					word = nil
					break
				}
				word = append(word, byte(unhex(f[j])<<4|unhex(f[j+1])))
			}
			plain = append(plain, word...)
			for i := len(word) - 1; i >= 0; i-- {
				swapped = append(swapped, word[i])
			}
		}
		if n, err := strconv.ParseUint(string(f), 8, 16); err == nil {
			octal = append(octal, byte(n))
			if len(f) == 6 {
				octal = append(octal, byte(n>>8))
			}
		}
		if n, err := strconv.ParseUint(string(f), 10, 8); err == nil {
			decimal = append(decimal, byte(n))
		}
		if n, err := strconv.ParseUint(string(f), 2, 8); err == nil && len(f) == 8 {
			binary = append(binary, byte(n))
		}
		switch {
		case len(f) == 1:
			signs = append(signs, f[0])
		case len(f) == 2 && (f[0] == '\\' || string(f) == "nl"):
			signs = append(signs, '\n')
		case string(f) == "sp":
			signs = append(signs, ' ')
		}
	}
	for _, out := range [][]byte{plain, swapped, octal, decimal, binary, signs} {
		s.child(v, lo, hi, out, "dump")
	}
}
