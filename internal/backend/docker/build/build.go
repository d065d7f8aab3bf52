// Package build has an engine make images of Dockerfiles: with BuildKit where the engine has it,
// with the classic builder where it has not.
//
// Its one rule: what goes to the engine is what `docker build` would send, and nothing more: the
// directory as .dockerignore leaves it, and a login for the registry that is asked and no other.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/registry"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Request says what an image is made of.
type Request struct {
	Tag        string
	Dockerfile string // its text
	Dir        string // what it may copy from; "" for nothing
	Name       string // of the Dockerfile in Dir: NAME.dockerignore beside it comes before .dockerignore
	Args       map[string]string
	Labels     map[string]string
	Network    string // "" for the engine's
}

// ignoreName is the file that says what of a directory is not sent.
const ignoreName = ".dockerignore"

// maxSent bounds what a build may copy from: a Dockerfile in a large directory must not send it.
const maxSent = 1 << 30

// tooLarge begins what is said of a directory that holds more.
const tooLarge = "the Dockerfile's directory holds"

// told is how much is sent between two words about it.
const told = 100 << 20

// builder makes one image.
type builder struct {
	Request
	engine *engine.Client
	logins *registry.Logins
	steps  *steps
	size   atomic.Int64 // what was sent so far
}

// Make makes an image; tell gets a line for each step that the engine does not have already, and
// the end of the log of one that fails. The environment decides as for docker: DOCKER_BUILDKIT, and
// DOCKER_CONFIG for the logins.
func Make(ctx context.Context, e *engine.Client, getenv func(string) string, r Request, tell func(line string)) error {
	kit, chosen, err := withBuildKit(ctx, e, getenv)
	if err != nil {
		return err
	}
	b := &builder{Request: r, engine: e, steps: newSteps(tell)}
	if b.logins, err = registry.Read(getenv); err != nil {
		return err
	}
	query, err := r.query()
	if err != nil {
		return err
	}
	if kit {
		err = b.buildKit(ctx, query)
		if !errors.Is(err, errNoSession) || chosen {
			return explain(ctx, err)
		}
	}
	return explain(ctx, b.classic(ctx, query))
}

// withBuildKit decides as docker does: the user's choice, else what the engine has.
func withBuildKit(ctx context.Context, e *engine.Client, getenv func(string) string) (kit, chosen bool, err error) {
	said := getenv("DOCKER_BUILDKIT")
	if said == "" {
		kit, err = e.BuildKit(ctx)
		return kit, false, err
	}
	if kit, err = strconv.ParseBool(said); err != nil {
		return false, false, fault.New(fault.Invalid, "cannot choose the builder: DOCKER_BUILDKIT is %q and may be 0 or 1", said)
	}
	return kit, true, nil
}

func (r Request) query() (url.Values, error) {
	args, err := json.Marshal(r.Args)
	if err != nil {
		return nil, err
	}
	labels, err := json.Marshal(r.Labels)
	if err != nil {
		return nil, err
	}
	q := url.Values{"t": {r.Tag}, "buildargs": {string(args)}, "labels": {string(labels)}}
	if r.Network != "" {
		q.Set("networkmode", r.Network)
	}
	return q, nil
}

// ignoreFiles are the files that may say what is not sent, the first one that there is.
func (b *builder) ignoreFiles() []string {
	if b.Name == "" {
		return []string{ignoreName}
	}
	return []string{b.Name + ignoreName, ignoreName}
}

// sent counts what is sent, and says so where it is much.
func (b *builder) sent(n int) error {
	size := b.size.Add(int64(n))
	if size > maxSent {
		return fault.WithHint(fault.New(fault.Invalid, tooLarge+" more than %d MB", maxSent>>20),
			"name what is not needed in its %s", ignoreName)
	}
	if size/told > (size-int64(n))/told {
		b.steps.say(fmt.Sprintf("  sent %d MB of %s", size>>20, b.Dir))
	}
	return nil
}

// login answers the engine's question; without one it goes on as nobody.
func (b *builder) login(ctx context.Context, host string) (user, secret string) {
	l, _, err := b.logins.For(ctx, host)
	if err != nil {
		b.steps.say("  " + err.Error() + "; the build goes on without it")
	}
	return l.User, l.Secret.Reveal()
}

// explain adds what a person can do about the usual causes.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // the engine's word about it would only hide that it was asked for
		return ctx.Err()
	}
	said := err.Error()
	for _, c := range []struct {
		words []string
		hint  string
	}{
		{[]string{"no space left on device"}, "the engine's disk is full: docker system df shows what fills it, docker builder prune and docker image prune free some"},
		{[]string{"pull access denied", "unauthorized", "authorization failed", "401 Unauthorized", "403 Forbidden"}, "if the base image is private, log in to its registry with docker login"},
		{[]string{"not supported by buildkit"}, "DOCKER_BUILDKIT=0 builds with the classic builder, which can use it"},
		{[]string{tooLarge}, "name what is not needed in its " + ignoreName}, // told through BuildKit
		{[]string{errNoSession.Error()}, "take DOCKER_BUILDKIT out of the environment"},
		{[]string{"the --mount option requires BuildKit", "the --chmod option requires BuildKit", "requires BuildKit"}, "DOCKER_BUILDKIT=1, or an engine with BuildKit"},
	} {
		for _, w := range c.words {
			if strings.Contains(said, w) && !errors.Is(err, os.ErrNotExist) {
				return fault.WithHint(err, "%s", c.hint)
			}
		}
	}
	return err
}
