package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// gateRepo is the repository of the images that hold this program on top of git, and gateBaseRepo
// of what is below it: git is not installed anew for another build of this program.
const (
	gateRepo     = "bot-bottle-git"
	gateBaseRepo = "bot-bottle-git-base"
)

// gateImage makes, once for each build of this program, what the git gate's container runs; "" where
// the plan has none in here.
func (d *Driver) gateImage(ctx context.Context, e *engine.Client, p *plan.Plan, program string) (string, error) {
	if p.Git.Gate != plan.GateInBackend {
		return "", nil
	}
	trust := hostBundle(bundles())
	tag, err := programTag(program, trust)
	if err != nil {
		return "", err
	}
	image := p.Git.Image
	below := image.Ref
	if below == "" {
		below = gateBaseRepo + ":" + imageTag(image)
	} else if below, err = named(ctx, e, image.Ref); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(below + "\x00" + tag))
	ref := gateRepo + ":" + hex.EncodeToString(sum[:8])
	there, err := e.HasImage(ctx, ref)
	if err != nil || there {
		return ref, err
	}
	if image.Ref == "" {
		if err := d.gateBase(ctx, e, below, image); err != nil {
			return "", err
		}
	} else {
		below = image.Ref // a builder finds an image by its name
	}
	d.Progress("making the git gate's image %s", ref)
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packGate(pw, below, program, trust)
		pw.CloseWithError(err)
		packed <- err
	}()
	err = e.Build(ctx, ref, nil, map[string]string{labelRole: roleGate}, d.Getenv("BOT_BOTTLE_BUILD_NETWORK"), pr, nil)
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if perr := <-packed; perr != nil && !errors.Is(perr, io.ErrClosedPipe) {
		err = perr
	}
	if err != nil {
		return "", fmt.Errorf("cannot make the git gate's image: %w", err)
	}
	return ref, nil
}

// named is the content of an image that the user has.
func named(ctx context.Context, e *engine.Client, ref string) (string, error) {
	id, err := e.ImageID(ctx, ref)
	if err == nil && id == "" {
		err = fault.WithHint(fault.New(fault.NotFound, "there is no image %q for the git gate", ref),
			"pull it, or take BOT_BOTTLE_GIT_IMAGE out of the environment")
	}
	return id, err
}

// gateBase installs git in an image, unless that was done.
func (d *Driver) gateBase(ctx context.Context, e *engine.Client, ref string, i plan.Image) error {
	there, err := e.HasImage(ctx, ref)
	if err != nil || there {
		return err
	}
	d.Progress("building the image %s, which has the git of the git gate; the first time takes a while", ref)
	said := &lines{tell: func(line string) { d.Progress("  %s", line) }}
	if err := d.build(ctx, e, ref, i, said); err != nil {
		return fault.WithHint(fault.New(fault.Unavailable, "cannot build the image of the git gate: %w", err),
			"name an image with git in BOT_BOTTLE_GIT_IMAGE, or a base that is there in BOT_BOTTLE_BASE_IMAGE; on Linux BOT_BOTTLE_GIT_GATE=host needs no image and runs this machine's git")
	}
	return nil
}

// packGate writes what is laid over git: this program, the host's trusted certificates, and the
// directories that volumes take their owner from.
func packGate(to io.Writer, below, program string, trust []byte) error {
	f, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	user := strconv.Itoa(wire.GateUser)
	dockerfile := "FROM " + below + "\nCOPY --chown=0:0 root /\nCOPY --chown=" + user + ":" + user + " own " + wire.ProgramDir + "/\n" +
		"USER " + user + ":" + user + "\nENTRYPOINT [\"" + wire.Program + "\", \"gate\", \"" + wire.ContainerMode + "\"]\n"
	w := tar.NewWriter(to)
	file := func(name string, mode, size int64, from io.Reader) error {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: size})
		if err == nil {
			_, err = io.Copy(w, from)
		}
		return err
	}
	dir := func(name string, mode int64) error {
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
	}
	owned := func(path string) string { return "own" + strings.TrimPrefix(path, wire.ProgramDir) }
	errs := []error{
		file("Dockerfile", 0o644, int64(len(dockerfile)), strings.NewReader(dockerfile)),
		dir("root", 0o755), dir("root"+wire.ProgramDir, 0o755),
		file("root"+wire.Program, 0o755, info.Size(), f),
		file("root"+plan.CABundle, 0o644, int64(len(trust)), strings.NewReader(string(trust))),
		dir("own", 0o755), dir(owned(wire.GateDir), 0o700), dir(owned(wire.GateMirrors), 0o755),
	}
	for slot := range wire.GateSlots {
		errs = append(errs, dir(owned(wire.GateMirror(slot)), 0o700))
	}
	return errors.Join(append(errs, w.Close())...)
}
