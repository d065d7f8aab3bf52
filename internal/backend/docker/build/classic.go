package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// dockerfileName is that of the text which is built, as docker calls one that is in no directory.
const dockerfileName = ".dockerfile.bot-bottle"

// classic builds with the engine's own builder: everything is sent at once, as a tar stream.
func (b *builder) classic(ctx context.Context, query url.Values) error {
	query.Set("dockerfile", dockerfileName)
	query.Set("rm", "1")
	query.Set("forcerm", "1")
	registries, err := b.logins.Within(ctx, b.texts()...)
	if err != nil {
		b.steps.say("  " + err.Error() + "; the build goes on without it")
	}
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := b.pack(ctx, pw)
		pw.CloseWithError(err)
		packed <- err
	}()
	said, err := b.engine.StartBuild(ctx, query, pr, registries)
	if err == nil {
		err = (&classicLog{steps: b.steps}).read(said)
		_ = said.Close()
	}
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if perr := <-packed; perr != nil && !errors.Is(perr, io.ErrClosedPipe) {
		return perr
	}
	return err
}

// pack writes the directory as .dockerignore leaves it, and the Dockerfile, so that it is the plan's
// text that is built, under a name that the builder takes out of the context again.
func (b *builder) pack(ctx context.Context, to io.Writer) error {
	w := tar.NewWriter(to)
	if b.Dir != "" {
		ignore, err := b.packTree(ctx, w)
		if err != nil {
			return fmt.Errorf("cannot read what the Dockerfile copies from: %w", err)
		}
		if err := packText(w, ignoreName, ignore+dockerfileName+"\n"); err != nil {
			return err
		}
	}
	if err := packText(w, dockerfileName, b.Dockerfile); err != nil {
		return err
	}
	return w.Close()
}

func packText(w *tar.Writer, name, text string) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(1, 0)}); err != nil {
		return err
	}
	_, err := io.WriteString(w, text)
	return err
}

// packTree writes the directory and returns what .dockerignore has to say to the builder: whether
// it stays itself.
func (b *builder) packTree(ctx context.Context, w *tar.Writer) (ignore string, err error) {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	t := &tree{root: root}
	patterns, err := ignored(root, b.ignoreFiles()...)
	if err == nil {
		err = t.exclude(patterns)
	}
	if err != nil {
		return "", err
	}
	ignore = ignoreName + "\n"
	err = t.walk(ctx, func(name string, info fs.FileInfo, link string) error {
		if name == ignoreName { // it goes along with the name of the Dockerfile in it
			ignore = strings.Join(patterns, "\n") + "\n"
			return nil
		}
		return b.packEntry(w, t, name, info, link)
	})
	return ignore, err
}

func (b *builder) packEntry(w *tar.Writer, t *tree, name string, info fs.FileInfo, link string) error {
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if !info.Mode().IsRegular() {
		return w.WriteHeader(h)
	}
	f, err := t.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if now, err := f.Stat(); err == nil {
		h.Size = now.Size()
	}
	if err := errors.Join(b.sent(int(h.Size)), w.WriteHeader(h)); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, h.Size)
	return err
}

// classicLog understands what the classic builder, Docker's and Podman's, writes.
type classicLog struct {
	steps *steps
	step  string // the current one
	known bool   // it was there already
	rest  string
}

func (c *classicLog) read(from io.Reader) error {
	d := json.NewDecoder(from)
	for {
		var m struct {
			Stream string `json:"stream"`
			Status string `json:"status"` // of a base image that is pulled
			Error  string `json:"error"`
		}
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the engine's progress: %w", err)
		case m.Error != "":
			c.line(c.rest)
			c.steps.failed(c.step, c.step)
			return errors.New(m.Error)
		case m.Status != "":
			c.steps.runs(c.step, c.step)
		}
		c.rest += m.Stream
		for {
			line, rest, found := strings.Cut(c.rest, "\n")
			if !found {
				break
			}
			c.rest = rest
			c.line(line)
		}
	}
}

// line is one of the builder's, or of what a step writes. A step is told once it is known not to be
// in the cache: when it writes something, or has made what was not there.
func (c *classicLog) line(line string) {
	trimmed := strings.TrimSpace(plain(line))
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(trimmed, w) })
	}
	switch {
	case trimmed == "":
	case says("Step ", "STEP ") && strings.Contains(trimmed, ": "):
		_, what, _ := strings.Cut(trimmed, ": ")
		c.step, c.known = trimmed, strings.HasPrefix(strings.ToUpper(what), "FROM ")
	case says("---> Using cache", "--> Using cache"):
		c.known = true
	case says("---> ", "--> "):
		if !c.known {
			c.steps.runs(c.step, c.step)
		}
	case says("Removing intermediate container ", "Successfully ", "COMMIT ", "[Warning]") || c.step == "":
	default:
		c.steps.runs(c.step, c.step)
		c.steps.wrote(c.step, []byte(line+"\n"))
	}
}

// texts are where the names of registries can be.
func (b *builder) texts() []string {
	all := []string{b.Dockerfile}
	for _, v := range b.Args {
		all = append(all, v)
	}
	return all
}
