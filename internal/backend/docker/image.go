package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	f, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	w := tar.NewWriter(to)
	dirs := []string{wire.ProgramDir, wire.HandoverDir, "/etc", "/etc/ssl", plan.CADir, "/dev", "/proc", "/sys", "/bin", "/usr", "/tmp", "/run", "/var", "/var/tmp", "/home"}
	for _, dir := range dirs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	for _, one := range []struct {
		name string
		mode int64
		size int64
		from io.Reader
	}{
		{wire.Program, 0o755, info.Size(), f},
		{plan.CABundle, 0o644, int64(len(trust)), strings.NewReader(string(trust))},
		{wire.SidecarAuditLog, 0o644, 0, strings.NewReader("")},
		{wire.SidecarProposals, 0o644, 0, strings.NewReader("")},
	} {
		if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(one.name, "/"), Mode: one.mode, Size: one.size}); err != nil {
			return err
		}
		if _, err := io.Copy(w, one.from); err != nil {
			return err
		}
	}
	return w.Close()
}
