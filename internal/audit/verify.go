package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Proof is what a chain is held against.
type Proof struct {
	ID string // of the run
	// Sealed is what was recorded beside the log when it was last sealed; nil: nothing.
	Sealed *Head
	// Known is the hash of some line, or the beginning of one, that was noted elsewhere; "": none.
	Known string
}

// Report is what a chain proves. With no Breaks, no line up to Head was changed, removed, moved or
// put in by anyone who could not write the whole log anew. That a log is cut off at its end shows
// only where it is sealed, or Known.
type Report struct {
	Head   Head    `json:"head"`
	Lines  int     `json:"lines"`  // that have a hash
	Old    int     `json:"old"`    // of a version without hashes: proven unchanged since the first line that has one
	Torn   int     `json:"torn"`   // broken off by a crash, and accounted for by the chain
	Cut    bool    `json:"cut"`    // the last line is unfinished
	Sealed bool    `json:"sealed"` // the last line is a seal
	Breaks []Break `json:"breaks"`
	Last   Event   `json:"-"` // the last line that has a hash
}

// Break is a place where the chain does not hold.
type Break struct {
	Line int    `json:"line"` // in the file, from 1; 0: the log as a whole
	What string `json:"what"`
}

// String implements fmt.Stringer.
func (b Break) String() string {
	if b.Line == 0 {
		return b.What
	}
	return fmt.Sprintf("line %d %s", b.Line, b.What)
}

// maxBreaks bounds a report: one that has so many needs no more.
const maxBreaks = 100

// Verify holds the log at path against its own chain and the proof. An error means that it could
// not be read; what is wrong with it stands in the report.
func Verify(ctx context.Context, path string, proof Proof) (Report, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Report{}, fault.New(fault.NotFound, "cannot read the audit log: %w", err)
	}
	if err != nil {
		return Report{}, fmt.Errorf("cannot read the audit log: %w", err)
	}
	defer file.Close()
	v := &verifier{proof: proof, chain: newChain(Genesis(proof.ID)), loose: newChain(Genesis(proof.ID))}
	if err := walk(ctx, file, v.line); err != nil {
		return Report{}, fmt.Errorf("cannot read the audit log: %w", err)
	}
	return v.end(), nil
}

// walk calls each with every line, without its newline; ended is false for one that has none. Of
// a line that is longer than MaxLine only the beginning counts.
func walk(ctx context.Context, src io.Reader, each func(line []byte, ended bool)) error {
	in := bufio.NewReaderSize(src, 64<<10)
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part[:min(len(part), MaxLine-len(line))]...)
		switch {
		case err == nil:
			each(bytes.TrimSuffix(line, []byte{'\n'}), true)
			line = line[:0]
		case errors.Is(err, io.EOF):
			if len(line) > 0 {
				each(line, false)
			}
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// verifier follows a chain. Lines without a hash are loose until the next one that has a hash
// tells whether it counts them.
type verifier struct {
	proof  Proof
	report Report
	number int
	begun  bool // a line with a hash was seen
	chain  *chain
	loose  *chain // as if the loose lines counted
	at     []int  // the loose lines
	known  bool
	sealed bool // the sealed line is there
	last   []byte
}

func (v *verifier) line(line []byte, ended bool) {
	v.number++
	v.report.Cut = !ended
	if len(line) == 0 {
		if v.begun { // versions without hashes wrote some
			v.wrong(v.number, "is empty: it was put in")
		}
		return
	}
	covered, stated, ok := split(line)
	if !ok {
		v.loose.absorb(line)
		v.at = append(v.at, v.number)
		return
	}
	v.report.Lines++
	v.chained(covered, stated)
	v.begun, v.at = true, nil
	v.loose.Head = v.chain.Head
	v.last = append(v.last[:0], line...)
	v.report.Sealed = bytes.Contains(covered, []byte(`"kind":"seal"`))
	if v.proof.Sealed != nil && v.chain.Head == *v.proof.Sealed {
		v.sealed = true
	}
	if v.proof.Known != "" && strings.HasPrefix(stated.String(), strings.ToLower(v.proof.Known)) {
		v.known = true
	}
}

// chained checks a line with a hash, and goes on from what it states, so that one change is one
// finding.
func (v *verifier) chained(covered []byte, stated Hash) {
	before := v.chain.Count
	v.loose.absorb(covered)
	if v.loose.Hash == stated {
		if v.begun {
			v.report.Torn += len(v.at)
		} else {
			v.report.Old = len(v.at)
		}
		v.chain.Head = v.loose.Head
		return
	}
	for _, at := range v.at {
		v.wrong(at, "has no hash: it was put in, or its hash was taken off")
	}
	v.chain.absorb(covered)
	if v.chain.Hash == stated {
		return
	}
	n := placeOf(covered)
	switch {
	case n > before+1:
		v.wrong(v.number, fmt.Sprintf("does not follow the one before it: %d before it are missing", n-before-1))
	case n != 0 && n <= before:
		v.wrong(v.number, fmt.Sprintf("stands in the wrong place: it says that it is number %d", n))
	default:
		v.wrong(v.number, "was changed, or the one before it was")
	}
	v.chain.Head = Head{Count: n, Hash: stated}
}

// placeOf is the number that a line gives itself, 0 for none.
func placeOf(covered []byte) uint64 {
	at := bytes.LastIndex(covered, []byte(`,"n":`))
	if at < 0 {
		return 0
	}
	n, err := strconv.ParseUint(string(covered[at+len(`,"n":`):]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (v *verifier) wrong(line int, what string) {
	if len(v.report.Breaks) < maxBreaks {
		v.report.Breaks = append(v.report.Breaks, Break{line, what})
	}
}

func (v *verifier) end() Report {
	r := &v.report
	cut := r.Cut && len(v.at) > 0 // the unfinished line is no break: a crash leaves one
	for i, at := range v.at {
		if v.begun && (!cut || i < len(v.at)-1) {
			v.wrong(at, "has no hash: it was put in, or its hash was taken off")
		}
	}
	if !v.begun {
		r.Old = len(v.at)
	}
	switch {
	case v.proof.Sealed == nil || v.sealed:
	case v.chain.Count < v.proof.Sealed.Count:
		v.wrong(0, fmt.Sprintf("the end is missing: it was sealed with %d lines and has %d", v.proof.Sealed.Count, v.chain.Count))
	default:
		v.wrong(0, fmt.Sprintf("it is not the log that was sealed: line %d is another", v.proof.Sealed.Count))
	}
	if v.proof.Known != "" && !v.known {
		v.wrong(0, "no line has the hash "+Escape(v.proof.Known, maxWord))
	}
	r.Head = v.loose.Head
	r.Sealed = r.Sealed && len(v.at) == 0
	if v.last != nil {
		_ = json.Unmarshal(v.last, &r.Last) // a line that does not parse tells nothing
	}
	return *r
}
