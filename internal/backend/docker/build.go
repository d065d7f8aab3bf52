package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/build"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
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
	err := d.build(ctx, e, ref, p.Image)
	if ctx.Err() != nil {
		return "", err
	}
	if err != nil {
		return "", hinted(fault.New(fault.Invalid, "cannot build the image of %q: %w", p.ID, err),
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

// build makes an image and tells its steps.
func (d *Driver) build(ctx context.Context, e *engine.Client, ref string, i plan.Image) error {
	return build.Make(ctx, e, d.Getenv, build.Request{
		Tag: ref, Dockerfile: i.Dockerfile, Dir: i.Context, Name: i.Name,
		Args: i.Args, Labels: map[string]string{labelRole: roleAgent}, Network: d.Getenv("BOT_BOTTLE_BUILD_NETWORK"),
	}, func(line string) { d.Progress("%s", line) })
}

// hinted adds what may be done about an error, where nothing more exact is known.
func hinted(err error, hint string) error {
	if fault.HintOf(err) != "" {
		return err
	}
	return fault.WithHint(err, "%s", hint)
}
