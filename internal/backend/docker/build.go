package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/pack"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// agentRepo is the repository of the images that were built here.
const agentRepo = "bot-bottle-agent"

// agentImage is what the bottle is made of. A plan that names no image brings all that it runs, and
// gets the image that holds this program alone.
func (d *Driver) agentImage(ctx context.Context, e *engine.Client, p *plan.Plan, empty string) (string, error) {
	switch {
	case p.Image.Ref != "":
		return p.Image.Ref, nil
	case p.Image.Dockerfile == "" && d.Image != "":
		return d.Image, nil
	case p.Image.Dockerfile == "":
		return empty, nil
	}
	tag := imageTag(p.Image)
	ref := d.reference(agentRepo, tag)
	if err := d.noteUse(ref, p.ID); err != nil {
		return "", err
	}
	if p.Image.Context == "" { // the text is all there is: the same text is the same image
		there, err := d.haveImage(ctx, e, agentRepo, tag)
		if err != nil || there {
			return ref, err
		}
	}
	d.Progress("building the image %s; the first time takes a while", ref)
	began := time.Now()
	said := &lines{tell: func(line string) { d.Progress("  %s", line) }}
	if err := d.build(ctx, e, ref, p.Image, said); err != nil {
		return "", fault.WithHint(fault.New(fault.Invalid, "cannot build the image of %q: %w", p.ID, err),
			"mend the Dockerfile, or name an image that is there in BOT_BOTTLE_IMAGE, or its base in BOT_BOTTLE_BASE_IMAGE")
	}
	if took := time.Since(began); took > time.Second {
		d.Progress("built in %s", took.Round(100*time.Millisecond))
	}
	return ref, d.noteBuilt(ctx, e, ref)
}

// imageTag names an image by all that its text and arguments say, and by where it copies from.
func imageTag(i plan.Image) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00", i.Dockerfile, i.Context)
	for _, name := range slices.Sorted(maps.Keys(i.Args)) {
		fmt.Fprintf(sum, "%s=%s\x00", name, i.Args[name])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// maxContext bounds what a build may copy from: a Dockerfile in a home directory must not send it.
const maxContext = 1 << 30

// build sends the Dockerfile and the directory beside it.
func (d *Driver) build(ctx context.Context, e *engine.Client, ref string, i plan.Image, said io.Writer) error {
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packContext(ctx, pw, i)
		pw.CloseWithError(err)
		packed <- err
	}()
	err := e.Build(ctx, ref, i.Args, map[string]string{labelRole: roleAgent}, d.Getenv("BOT_BOTTLE_BUILD_NETWORK"), pr, said)
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if perr := <-packed; perr != nil && !errors.Is(perr, io.ErrClosedPipe) {
		return perr
	}
	return err
}

func packContext(ctx context.Context, to io.Writer, i plan.Image) error {
	w := tar.NewWriter(&bounded{to, maxContext})
	if i.Context != "" {
		if _, err := pack.Tree(ctx, w, i.Context, ".", nil); err != nil {
			return fmt.Errorf("cannot read what the Dockerfile copies from: %w", err)
		}
	}
	// Last, so that it is the plan's text that is built.
	if err := pack.File(w, "Dockerfile", 0o644, []byte(i.Dockerfile)); err != nil {
		return err
	}
	return w.Close()
}

// bounded refuses to write more than is left.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fault.New(fault.Invalid, "the Dockerfile's directory holds more than %d MB", maxContext>>20)
	}
	return b.to.Write(p)
}

// lines tells what is written to it line by line.
type lines struct {
	tell func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			l.tell(printable(text))
		}
		l.rest = rest
	}
}

// printable keeps what a build says from driving the terminal; its colours are left out.
func printable(s string) string {
	var plain strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		plain.WriteString(before)
		end := strings.IndexByte(after, 'm')
		if !found || end < 0 || strings.Trim(after[:end], "0123456789;") != "" {
			s = plain.String() + after
			break
		}
		s = after[end+1:]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
