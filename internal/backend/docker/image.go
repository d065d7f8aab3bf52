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
	"os"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// sidecarRepo is the repository of the images that hold this program and nothing else.
const sidecarRepo = "bot-bottle-sidecar"

// sidecarImage makes, once for each build of this program, an image with nothing in it but the
// program and the host's trusted certificates. Nothing is pulled.
func (d *Driver) sidecarImage(ctx context.Context, e *engine.Client, program string) (string, error) {
	if own := d.Getenv("BOT_BOTTLE_SIDECAR_IMAGE"); own != "" {
		return own, nil
	}
	trust := hostBundle(bundles())
	tag, err := programTag(program, trust)
	if err != nil {
		return "", err
	}
	ref := d.reference(sidecarRepo, tag)
	there, err := d.haveImage(ctx, e, sidecarRepo, tag)
	if err != nil || there {
		return ref, err
	}
	d.Progress("making the sidecar's image %s", ref)
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packProgram(pw, program, trust)
		pw.CloseWithError(err)
		packed <- err
	}()
	err = e.ImportImage(ctx, sidecarRepo, tag+d.suffix(), []string{"LABEL " + labelRole + "=" + roleSidecar, "ENTRYPOINT [\"" + wire.Program + "\"]"}, pr)
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if perr := <-packed; perr != nil && err == nil {
		err = perr
	}
	if err != nil {
		return "", fmt.Errorf("cannot make the sidecar's image: %w", err)
	}
	return ref, nil
}

// programTag names a build of this program on this machine, without reading all of it.
func programTag(program string, trust []byte) (string, error) {
	info, err := os.Stat(program)
	if err != nil {
		return "", fmt.Errorf("cannot look at this program: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %d %d\n", program, info.Size(), info.ModTime().UnixNano())
	sum.Write(trust)
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// packProgram writes the image's one layer.
func packProgram(to io.Writer, program string, trust []byte) error {
	l := newLayer(to)
	for _, dir := range []string{wire.ProgramDir, wire.HandoverDir, "/etc", "/etc/ssl", plan.CADir, "/dev", "/proc", "/sys", "/bin", "/usr", "/tmp", "/run", "/var", "/var/tmp", "/home"} {
		l.dir(dir, 0o755, 0)
	}
	l.program(program)
	l.file(plan.CABundle, 0o644, int64(len(trust)), bytes.NewReader(trust))
	l.file(wire.SidecarAuditLog, 0o644, 0, bytes.NewReader(nil))
	l.file(wire.SidecarProposals, 0o644, 0, bytes.NewReader(nil))
	return l.close()
}

// layer writes one layer of an image; its first error ends it.
type layer struct {
	w   *tar.Writer
	err error
}

func newLayer(to io.Writer) *layer { return &layer{w: tar.NewWriter(to)} }

func (l *layer) header(h *tar.Header) {
	h.Name = strings.TrimPrefix(h.Name, "/")
	if l.err == nil {
		l.err = l.w.WriteHeader(h)
	}
}

func (l *layer) dir(path string, mode int64, owner int) {
	l.header(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode, Uid: owner, Gid: owner})
}

func (l *layer) file(path string, mode, size int64, from io.Reader) {
	l.header(&tar.Header{Name: path, Mode: mode, Size: size})
	if l.err == nil {
		_, l.err = io.Copy(l.w, from)
	}
}

// program is this program's file, where containers start it.
func (l *layer) program(file string) {
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			l.file(wire.Program, 0o755, info.Size(), f)
			return
		}
	}
	l.err = errors.Join(l.err, fmt.Errorf("cannot read this program: %w", err))
}

func (l *layer) close() error { return errors.Join(l.err, l.w.Close()) }
