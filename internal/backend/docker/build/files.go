package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// source is a directory that the engine may ask for: one of the host, or texts.
type source struct {
	dir   string // "" for none
	texts map[string]string
	sent  func(bytes int) error // is told what goes over
}

// Packets of fsutil, <https://github.com/tonistiigi/fsutil>: the sender names all files in the order
// of their paths, the receiver asks by number for those that it has not, and says when it is done.
const (
	packetStat  = 0
	packetAsk   = 1
	packetData  = 2
	packetEnd   = 3
	packetError = 4
)

// chunk is how much of a file is sent at once.
const chunk = 256 << 10

// errNoDirectory is for a directory that the engine asks for and that is not part of the build.
var errNoDirectory = errors.New("there is no such directory in the build")

// copyFiles is the call that fetches a directory.
func (s *session) copyFiles(ctx context.Context, c *call) error {
	asked := func(name string) []string { return metadata(c.r.Header, name) }
	name := strings.Join(asked("dir-name"), "")
	from, ok := s.files[name]
	if !ok {
		return fmt.Errorf("%w: %q", errNoDirectory, name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &transfer{call: c, from: from, names: map[uint64]string{}}
	if from.dir != "" {
		root, err := os.OpenRoot(from.dir)
		if err != nil {
			return err
		}
		defer root.Close()
		t.tree = &tree{root: root}
		if err := t.tree.exclude(asked("exclude-patterns")); err != nil {
			return err
		}
		t.tree.follow(slices.Concat(asked("include-patterns"), asked("followpaths")))
	}
	return t.run(ctx)
}

// metadata of a call; the client says where it had to encode something.
func metadata(h http.Header, name string) []string {
	values := h.Values(name)
	if h.Get(name+"-encoded") != "1" {
		return values
	}
	plain := make([]string, 0, len(values))
	for _, v := range values {
		if decoded, err := url.QueryUnescape(v); err == nil {
			v = decoded
		}
		plain = append(plain, v)
	}
	return plain
}

// transfer of one directory.
type transfer struct {
	*call
	from *source
	tree *tree // nil for texts

	names map[uint64]string // what may still be asked for, by number
	named sync.Mutex        // guards names
}

// run names the files and sends what is asked for at the same time, as both ends may wait for each
// other otherwise.
func (t *transfer) run(ctx context.Context) error {
	var work sync.WaitGroup
	var walked error
	work.Go(func() {
		if walked = t.nameAll(ctx); walked != nil {
			_ = t.send(appendBytes(appendNumber(nil, 1, packetError), 4, walked.Error()))
		}
	})
	err := t.answer(ctx)
	work.Wait()
	return errors.Join(walked, err)
}

func (t *transfer) nameAll(ctx context.Context) error {
	number := uint64(0)
	each := func(name string, info fs.FileInfo, link string) error {
		if info.Mode().IsRegular() {
			t.named.Lock()
			t.names[number] = name
			t.named.Unlock()
		}
		number++
		return t.send(appendBytes(nil, 2, stat(name, info, link)))
	}
	var err error
	if t.tree != nil {
		err = t.tree.walk(ctx, each)
	}
	for _, name := range slices.Sorted(maps.Keys(t.from.texts)) {
		if err == nil {
			err = each(name, text{name, t.from.texts[name]}, "")
		}
	}
	if err != nil {
		return fmt.Errorf("cannot read what the Dockerfile copies from: %w", err)
	}
	return t.send(nil) // a stat of nothing: that was all
}

// stat describes a file without its owner, as docker does.
func stat(name string, info fs.FileInfo, link string) []byte {
	message := appendNumber(appendBytes(nil, 1, name), 2, uint64(info.Mode()))
	if !info.IsDir() {
		message = appendNumber(message, 5, uint64(info.Size()))
	}
	message = appendNumber(message, 6, uint64(info.ModTime().UnixNano()))
	if link != "" {
		message = appendBytes(message, 7, link)
	}
	return message
}

// answer sends what is asked for until the receiver has all.
func (t *transfer) answer(ctx context.Context) error {
	for ctx.Err() == nil {
		message, err := t.receive()
		if err != nil {
			return err
		}
		all, err := fields(message)
		if err != nil {
			return err
		}
		var kind, number uint64
		var said string
		for _, f := range all {
			switch f.number {
			case 1:
				kind = f.value
			case 3:
				number = f.value
			case 4:
				said = string(f.bytes)
			}
		}
		switch kind {
		case packetAsk:
			if err := t.content(number); err != nil {
				_ = t.send(appendBytes(appendNumber(nil, 1, packetError), 4, err.Error()))
				return err
			}
		case packetEnd:
			return t.send(appendNumber(nil, 1, packetEnd))
		case packetError:
			return errors.New(said)
		}
	}
	return ctx.Err()
}

// content sends a file; a piece of no bytes ends it.
func (t *transfer) content(number uint64) error {
	t.named.Lock()
	name, ok := t.names[number]
	delete(t.names, number)
	t.named.Unlock()
	if !ok {
		return fmt.Errorf("cannot send the file %d: it was not named", number)
	}
	f, err := t.open(name)
	if err != nil {
		return fmt.Errorf("cannot send %s: %w", name, err)
	}
	defer f.Close()
	piece := make([]byte, chunk)
	for {
		n, err := f.Read(piece)
		if n > 0 {
			if serr := errors.Join(t.from.sent(n), t.data(number, piece[:n])); serr != nil {
				return serr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return t.data(number, nil)
		case err != nil:
			return fmt.Errorf("cannot send %s: %w", name, err)
		}
	}
}

func (t *transfer) data(number uint64, piece []byte) error {
	message := appendNumber(appendNumber(nil, 1, packetData), 3, number)
	if len(piece) > 0 {
		message = appendBytes(message, 4, piece)
	}
	return t.send(message)
}

func (t *transfer) open(name string) (io.ReadCloser, error) {
	if content, ok := t.from.texts[name]; ok {
		return io.NopCloser(bytes.NewReader([]byte(content))), nil
	}
	if t.tree == nil {
		return nil, fs.ErrNotExist
	}
	return t.tree.open(name)
}

// text is a file that is in no directory. It is always newer than what the engine has, which
// compares sizes and times.
type text struct{ name, content string }

func (t text) Name() string     { return t.name }
func (t text) Size() int64      { return int64(len(t.content)) }
func (text) Mode() fs.FileMode  { return 0o644 }
func (text) ModTime() time.Time { return time.Now() }
func (text) IsDir() bool        { return false }
func (text) Sys() any           { return nil }
