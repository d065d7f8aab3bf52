package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// Labels of the image that holds this program on top of git.
const (
	labelProgram = "bot-bottle.program" // the build of this program
	labelBase    = "bot-bottle.base"    // what is below
)

// content is an image's name, and what tells that it is another.
type content struct{ name, id string }

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
	below := content{name: image.Ref}
	if image.Ref != "" {
		below.id, err = named(ctx, e, image.Ref)
	} else {
		below.id = imageTag(image)
		below.name = d.reference(gateBaseRepo, below.id)
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(below.id + "\x00" + tag))
	above := content{id: hex.EncodeToString(sum[:8])}
	above.name = d.reference(gateRepo, above.id)
	there, err := d.haveImage(ctx, e, gateRepo, above.id)
	if err != nil || there {
		return above.name, err
	}
	if image.Ref == "" {
		if err := d.gateBase(ctx, e, below, image); err != nil {
			return "", err
		}
	}
	d.Progress("making the git gate's image %s", above.name)
	labels := map[string]string{labelRole: roleGate, labelProgram: tag, labelBase: below.id}
	if err := d.layGate(ctx, e, p, below.name, above.name, labels, program, trust); err != nil {
		return "", fmt.Errorf("cannot make the git gate's image: %w", err)
	}
	return above.name, d.noteBuilt(ctx, e, above.name) // of two that make it at once, one loses the name
}

// layGate lays one layer over an image: no builder is needed for that, and none waits for a registry.
func (d *Driver) layGate(ctx context.Context, e *engine.Client, p *plan.Plan, below, ref string, labels map[string]string, program string, trust []byte) error {
	spec := base(d.Root, p.ID, roleLaid)
	spec.Image, spec.Entrypoint, spec.HostConfig.NetworkMode, spec.HostConfig.ReadonlyRootfs = below, []string{wire.Program}, "none", false
	id, err := e.Create(ctx, gateName(p.ID)+"-image", spec)
	if err != nil {
		return err
	}
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwindLimit)
		defer cancel()
		_ = e.Remove(limited, id) // it never ran; what stays is found by cleanup
	}()
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packGate(pw, program, trust)
		pw.CloseWithError(err)
		packed <- err
	}()
	err = e.PutArchive(ctx, id, "/", pr)
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if perr := <-packed; perr != nil && !errors.Is(perr, io.ErrClosedPipe) {
		err = perr
	}
	if err != nil {
		return err
	}
	repo, tag, _ := strings.Cut(ref, ":")
	changes := []string{"ENTRYPOINT [\"" + wire.Program + "\"]"}
	for name, value := range labels {
		changes = append(changes, "LABEL "+name+"="+value)
	}
	return e.Commit(ctx, id, repo, tag, changes)
}

// named is the content of an image that the user has.
func named(ctx context.Context, e *engine.Client, ref string) (string, error) {
	id, err := e.ImageID(ctx, ref)
	if engine.IsStatus(err, http.StatusNotFound) {
		err = fault.WithHint(fault.New(fault.NotFound, "there is no image %q for the git gate", ref),
			"pull it, or take BOT_BOTTLE_GIT_IMAGE out of the environment")
	}
	return id, err
}

// gateBase installs git in an image, unless that was done.
func (d *Driver) gateBase(ctx context.Context, e *engine.Client, base content, i plan.Image) error {
	there, err := d.haveImage(ctx, e, gateBaseRepo, base.id)
	if err != nil || there {
		return err
	}
	d.Progress("building the image %s, which has the git of the git gate; the first time takes a while", base.name)
	if err := d.build(ctx, e, base.name, i); err != nil {
		hint := "name an image with git in BOT_BOTTLE_GIT_IMAGE, or a base that is there in BOT_BOTTLE_BASE_IMAGE; on Linux BOT_BOTTLE_GIT_GATE=host needs no image and runs this machine's git"
		if own := fault.HintOf(err); own != "" {
			hint = own + "; or " + hint
		}
		return fault.WithHint(fault.New(fault.Unavailable, "cannot build the image of the git gate: %w", err), "%s", hint)
	}
	return nil
}

// packGate writes what is laid over git: this program, the host's trusted certificates, and the
// directories that volumes take their owner from.
func packGate(to io.Writer, program string, trust []byte) error {
	l := newLayer(to)
	l.dir(wire.ProgramDir, 0o755, 0)
	l.program(program)
	l.dir("/etc/ssl", 0o755, 0)
	l.dir(plan.CADir, 0o755, 0)
	l.file(plan.CABundle, 0o644, int64(len(trust)), bytes.NewReader(trust))
	l.dir(wire.GateDir, 0o700, wire.GateUser)
	l.dir(wire.GateMirrors, 0o755, 0)
	for slot := range wire.GateSlots {
		l.dir(wire.GateMirror(slot), 0o700, wire.GateUser)
	}
	return l.close()
}
