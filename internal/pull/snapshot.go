package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// uncommitted is the ref in the quarantine of what was not committed.
const uncommitted = "refs/pull/uncommitted"

// snapshot commits what the agent has not committed, without its index: files that differ from
// HEAD, are gone, or are new and not ignored. git says which they are, with the quarantine's own
// configuration; it is we who read them.
func (w *Work) snapshot(ctx context.Context, s *source, r refs) error {
	changed, gone, err := w.differences(ctx, s, r)
	if err != nil || len(changed)+len(gone) == 0 {
		return err
	}
	read, write := io.Pipe()
	stream := &importer{to: write, source: s}
	written := make(chan error, 1)
	go func() {
		stream.commit(r.head)
		for _, p := range gone {
			stream.line("D %s", quoted(p))
		}
		for _, p := range changed {
			stream.file(p)
		}
		stream.line("\ndone")
		_ = write.CloseWithError(stream.err)
		written <- stream.err
	}()
	err = w.git.pipe(w.git.command(ctx, "fast-import", "--quiet", "--done"), read, io.Discard)
	_ = read.CloseWithError(io.ErrClosedPipe)
	if werr := <-written; err != nil || werr != nil {
		return fault.New(fault.Denied, "cannot take what is not committed: %w", errors.Join(err, werr))
	}
	w.Left = append(w.Left, stream.left...)
	return nil
}

// differences asks git. An unborn HEAD has nothing in it.
func (w *Work) differences(ctx context.Context, s *source, r refs) (changed, gone []string, err error) {
	tree := r.head
	if tree == "" {
		tree = w.git.emptyTree
	}
	if _, err := w.git.run(ctx, "read-tree", tree); err != nil {
		return nil, nil, fault.New(fault.Denied, "cannot read the agent's HEAD: %w", err)
	}
	seen := map[string]bool{}
	for _, which := range []struct {
		args []string
		to   *[]string
	}{
		{[]string{"--deleted"}, &gone},
		{[]string{"--modified"}, &changed},
		{[]string{"--others", "--exclude-standard"}, &changed},
	} {
		cmd := w.git.command(ctx, append([]string{"--work-tree=" + s.root.Name(), "ls-files", "-z"}, which.args...)...)
		cmd.Dir = s.root.Name()
		out := capped{left: maxAnswer}
		if err := errors.Join(w.git.pipe(cmd, nil, &out), out.err); err != nil {
			return nil, nil, fault.New(fault.Denied, "cannot compare the agent's files with its HEAD: %w", err)
		}
		for p := range strings.SplitSeq(strings.TrimSuffix(out.text.String(), "\x00"), "\x00") {
			if p != "" && !seen[p] { // what is gone is told as modified, too
				seen[p] = true
				*which.to = append(*which.to, p)
			}
		}
	}
	slices.Sort(changed)
	return changed, gone, nil
}

// importer writes what git fast-import reads.
type importer struct {
	to     io.Writer
	source *source
	left   []string
	err    error // the first one
}

func (i *importer) line(format string, args ...any) {
	if i.err == nil {
		_, i.err = fmt.Fprintf(i.to, format+"\n", args...)
	}
}

func (i *importer) commit(parent string) {
	const words = "What the agent had not committed\n"
	i.line("commit %s\ncommitter bot-bottle <bot-bottle@localhost> %d +0000\ndata %d\n%s", uncommitted, time.Now().Unix(), len(words), words)
	if parent != "" {
		i.line("from %s", parent)
	}
}

// file writes a file or a link as it is now; what is neither, or too large, is left and named.
func (i *importer) file(p string) {
	info, err := i.source.root.Lstat(strings.TrimSuffix(p, "/"))
	switch {
	case err != nil:
		i.left = append(i.left, p+" (it is gone)")
	case info.IsDir():
		i.left = append(i.left, p+" (a repository within the repository)")
	case info.Mode()&os.ModeSymlink != 0:
		target, err := i.source.root.Readlink(p)
		if err != nil {
			i.left = append(i.left, p+" (it is gone)")
			return
		}
		i.line("M 120000 inline %s\ndata %d\n%s", quoted(p), len(target), target)
	default:
		i.content(p, info)
	}
}

func (i *importer) content(p string, info os.FileInfo) {
	f, size, err := i.source.regular(p, maxFile)
	if err != nil {
		i.left = append(i.left, fmt.Sprintf("%s (%v)", p, err))
		return
	}
	defer f.Close()
	mode := "100644"
	if info.Mode()&0o111 != 0 {
		mode = "100755"
	}
	i.line("M %s inline %s\ndata %d", mode, quoted(path.Clean(p)), size)
	if i.err != nil {
		return
	}
	if _, i.err = io.CopyN(i.to, f, size); errors.Is(i.err, io.EOF) {
		i.err = fmt.Errorf("%s shrank while it was read; try again", p)
	}
	i.line("")
}

// quoted is a path as fast-import reads it, whatever bytes it has.
func quoted(p string) string {
	var out strings.Builder
	out.WriteByte('"')
	for n := range len(p) {
		if c := p[n]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			fmt.Fprintf(&out, `\%03o`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String() + `"`
}
