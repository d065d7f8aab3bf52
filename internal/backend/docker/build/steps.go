package build

import (
	"strings"
	"sync"
	"time"
)

// lastLines is how much of a step's log is told when it fails.
const lastLines = 20

// quiet is how long a step may say nothing before the latest line of its log is told.
const quiet = 10 * time.Second

// steps tells what a build does: a line for each step that is not answered from the cache, now and
// then a line of its log, and the end of the log of one that fails.
type steps struct {
	tell func(line string)

	mu   sync.Mutex // guards what follows; tell is called with it
	told map[string]bool
	logs map[string]*journal
	last time.Time // when something was told
}

func newSteps(tell func(string)) *steps {
	return &steps{tell: tell, told: map[string]bool{}, logs: map[string]*journal{}, last: time.Now()}
}

func (s *steps) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saying(line)
}

func (s *steps) saying(line string) {
	s.last = time.Now()
	s.tell(Printable(line))
}

// runs is told of a step that is not in the cache; it may be told of it again.
func (s *steps) runs(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running(id, name)
}

func (s *steps) running(id, name string) {
	if s.told[id] || name == "" {
		return
	}
	s.told[id] = true
	s.saying("  " + oneLine(name))
}

// wrote is told of a piece of a step's log.
func (s *steps) wrote(id string, piece []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[id]
	if l == nil {
		l = &journal{}
		s.logs[id] = l
	}
	l.write(string(piece))
	if line := l.latest(); line != "" && time.Since(s.last) > quiet {
		s.saying("    " + line)
	}
}

// failed tells how the log of a step ended.
func (s *steps) failed(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running(id, name)
	l := s.logs[id]
	if l == nil {
		return
	}
	for _, line := range l.end() {
		s.saying("    " + line)
	}
	delete(s.logs, id)
}

// oneLine is the first line of a name, which may hold a whole script.
func oneLine(name string) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(name), "\n")
	if strings.TrimSpace(rest) != "" {
		first += " …"
	}
	return first
}

// journal keeps the last lines of what a step writes.
type journal struct {
	lines []string // whole ones
	open  string   // the one that is written just now
}

// maxLine bounds a line that does not end.
const maxLine = 4 << 10

func (l *journal) write(piece string) {
	l.open += piece
	for {
		line, rest, found := strings.Cut(l.open, "\n")
		if !found {
			break
		}
		l.open = rest
		l.keep(line)
	}
	if len(l.open) > maxLine {
		l.keep(l.open)
		l.open = ""
	}
}

func (l *journal) keep(line string) {
	if at := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); at >= 0 { // a bar that was drawn over
		line = line[at+1:]
	}
	if line = strings.TrimRight(line, " \t\r"); line == "" {
		return
	}
	l.lines = append(l.lines, line[:min(len(line), maxLine)])
	if len(l.lines) > lastLines {
		l.lines = l.lines[len(l.lines)-lastLines:]
	}
}

func (l *journal) latest() string {
	if len(l.lines) == 0 {
		return ""
	}
	return l.lines[len(l.lines)-1]
}

func (l *journal) end() []string {
	l.keep(l.open)
	l.open = ""
	return l.lines
}

// Printable keeps what a build, or anything else in an engine, says from driving the terminal; its
// colours are left out.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, plain(s))
}

// plain takes the colours out of a text.
func plain(s string) string {
	var without strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		without.WriteString(before)
		if !found {
			return without.String()
		}
		end := strings.IndexByte(after, 'm')
		if end < 0 || strings.Trim(after[:end], "0123456789;") != "" {
			without.WriteString("\x1b[")
			end = -1
		}
		s = after[end+1:]
	}
}
