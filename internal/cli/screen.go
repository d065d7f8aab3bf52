package cli

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
)

// screen hands on what an agent shows and remembers which modes of the terminal it has switched
// on, so that an agent that is killed, or left, does not leave them behind.
// It is not safe for concurrent use.
type screen struct {
	to    io.Writer
	seq   []byte // a control sequence that is not complete yet
	on    []string
	keys  int  // kitty keyboard modes that were pushed
	other bool // xterm's modifyOtherKeys
}

// longest bounds a control sequence; what is longer is none.
const longest = 64

func (s *screen) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	rest := p[:n]
	for len(rest) > 0 {
		if len(s.seq) == 0 {
			at := bytes.IndexByte(rest, '\x1b')
			if at < 0 {
				break
			}
			rest = rest[at:]
		}
		b := rest[0]
		rest = rest[1:]
		s.seq = append(s.seq, b)
		switch {
		case len(s.seq) == 1:
		case b == '\x1b':
			s.seq = append(s.seq[:0], b)
		case len(s.seq) == 2 && b != '[', len(s.seq) > longest:
			s.seq = s.seq[:0]
		case len(s.seq) > 2 && b >= 0x40 && b <= 0x7e:
			s.control(string(s.seq[2:len(s.seq)-1]), b)
			s.seq = s.seq[:0]
		}
	}
	return n, err
}

// control notes one CSI sequence: DEC private modes, kitty's keyboard modes, modifyOtherKeys.
func (s *screen) control(params string, final byte) {
	private, isPrivate := strings.CutPrefix(params, "?")
	switch {
	case isPrivate && (final == 'h' || final == 'l'):
		for mode := range strings.SplitSeq(private, ";") {
			s.mode(mode, final == 'h')
		}
	case strings.HasPrefix(params, ">") && final == 'u':
		s.keys++
	case strings.HasPrefix(params, "<") && final == 'u':
		n, err := strconv.Atoi(params[1:])
		if err != nil {
			n = 1
		}
		s.keys = max(0, s.keys-n)
	case strings.HasPrefix(params, ">4") && final == 'm':
		s.other = params != ">4" && params != ">4;0"
	}
}

// mode notes a DEC private mode. Auto-wrap and the cursor are on where nobody touched them.
func (s *screen) mode(mode string, on bool) {
	switch mode {
	case "7", "25":
		on = !on
	case "2026": // a frame in the making, which ends by itself
		return
	}
	if len(s.on) > longest {
		return
	}
	s.on = slices.DeleteFunc(s.on, func(m string) bool { return m == mode })
	if _, err := strconv.ParseUint(mode, 10, 16); err == nil && on {
		s.on = append(s.on, mode)
	}
}

// restore switches off what is still on, the last first, and gives the shell a line of its own.
func (s *screen) restore() {
	var out strings.Builder
	for _, m := range slices.Backward(s.on) {
		final := "l"
		if m == "7" || m == "25" {
			final = "h"
		}
		out.WriteString("\x1b[?" + m + final)
	}
	if s.keys > 0 {
		out.WriteString("\x1b[<" + strconv.Itoa(s.keys) + "u")
	}
	if s.other {
		out.WriteString("\x1b[>4m")
	}
	if out.Len() > 0 {
		out.WriteString("\x1b[0m\r\n")
		_, _ = io.WriteString(s.to, out.String()) // the terminal may be gone with its user
	}
	s.on, s.keys, s.other, s.seq = nil, 0, false, nil
}
