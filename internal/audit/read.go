package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// ErrDamaged is the cause of an error that concerns one line; reading goes on after it.
var ErrDamaged = errors.New("the line is damaged")

// Read yields the events of the log at path that filter chooses, oldest first.
//
// With follow it then waits for more until ctx ends or the file is removed; without, it ends at
// the end of the file, where an unfinished line is left out. A line that cannot be read is
// yielded as an error that wraps ErrDamaged, and reading goes on; any other error is the last.
func Read(ctx context.Context, path string, filter Filter, follow bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := read(ctx, path, filter, 0, follow, yield); err != nil {
			yield(Event{}, err)
		}
	}
}

// Recent is Read with follow, but of a log that is longer than that it begins some 256 KiB before
// the end. Line numbers in errors count from there.
func Recent(ctx context.Context, path string, filter Filter) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := read(ctx, path, filter, 256<<10, true, yield); err != nil {
			yield(Event{}, err)
		}
	}
}

// read begins at the first line after the last back bytes; 0 is all.
func read(ctx context.Context, path string, filter Filter, back int64, follow bool, yield func(Event, error) bool) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.NotFound, "cannot read the audit log: %w", err)
	}
	if err != nil {
		return fmt.Errorf("cannot read the audit log: %w", err)
	}
	defer file.Close()
	cut := false
	if back > 0 {
		if at, err := file.Seek(-back, io.SeekEnd); err == nil { // a shorter one is read from its beginning
			cut = at > 0
		}
	}
	src := io.Reader(file)
	if follow {
		tail, err := newTail(ctx, file, path)
		if err != nil {
			return err
		}
		defer tail.close()
		src = tail
	}
	in := bufio.NewReaderSize(src, 64<<10)
	if cut {
		if _, _, err := readLine(in); err != nil { // the rest of a line
			return nil // it ends in the middle of one
		}
	}
	return scan(ctx, in, filter, yield)
}

func scan(ctx context.Context, in *bufio.Reader, filter Filter, yield func(Event, error) bool) error {
	for number := 1; ; number++ {
		line, whole, err := readLine(in)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller asked for the end
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the audit log: %w", err)
		}
		if len(line) == 0 && whole {
			continue
		}
		var e Event
		if !whole {
			err = errors.New("it is too long")
		} else {
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			err = fmt.Errorf("cannot read line %d of the audit log: %w: %w", number, ErrDamaged, err)
		} else if !filter.Match(e) {
			continue
		}
		if !yield(e, err) {
			return nil
		}
	}
}

// readLine returns the next line without its newline. An unfinished line at the end is io.EOF.
// Of a line longer than MaxLine whole is false, and the line is passed over.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	whole = true
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, whole, err
		}
		if whole = whole && len(line)+len(part) <= MaxLine; whole {
			line = append(line, part...)
		}
		if err == nil {
			return bytes.TrimSuffix(line, []byte{'\n'}), whole, nil
		}
	}
}
