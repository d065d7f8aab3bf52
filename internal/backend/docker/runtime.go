package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// The runtimes that hold an agent's container: gVisor's where the engine has it registered and it
// can, else the engine's own.
const (
	runsc = "runsc"
	runc  = "runc"
)

// runtimeVariable names the one runtime to use, whatever else there is.
const runtimeVariable = "BOT_BOTTLE_DOCKER_RUNTIME"

// trialLimit bounds a trial, which takes about a second.
const trialLimit = 30 * time.Second

// site is what there is to know of an engine before a bottle is made in it.
type site struct {
	memory  int64 // of its machine, in bytes
	runtime string
	kernel  string // gVisor's release, as it tells it to its programs
	refused string // why a runsc that is registered is not used; "" where there is none, or it is
}

// linked is whether a bottle's network is made by a container of its own.
func (s *site) linked() bool { return s.runtime == runsc }

// site asks the engine, once, about itself.
func (d *Driver) site(ctx context.Context, e *engine.Client) (*site, error) {
	if s := d.found.Load(); s != nil {
		return s, nil
	}
	info, err := d.info(ctx, e)
	if err != nil {
		return nil, err
	}
	return d.examine(ctx, e, info, d.remembered)
}

// examine chooses the runtime. A runtime that was asked for by name and cannot be had is
// fault.Unsupported.
func (d *Driver) examine(ctx context.Context, e *engine.Client, info engine.Info, tried trier) (*site, error) {
	s := &site{memory: info.MemTotal, runtime: runc}
	registered, there := info.Runtimes[runsc]
	wanted := d.Getenv(runtimeVariable)
	switch {
	case wanted != "" && wanted != runc && wanted != runsc:
		return nil, fault.WithHint(fault.New(fault.Invalid, "cannot use the runtime %q, which %s names", wanted, runtimeVariable), "it is runc or runsc")
	case wanted == runsc && !there:
		return nil, fault.WithHint(fault.New(fault.Unsupported, "cannot use runsc, which %s asks for: the engine has no runtime of that name", runtimeVariable),
			"register it in the engine's daemon.json, or take the variable out of the environment")
	case wanted != runc && there:
		v, err := tried(ctx, e, registered)
		if err != nil {
			return nil, err
		}
		if v.Refused == "" {
			s.runtime, s.kernel = runsc, v.Kernel
		} else if wanted == runsc {
			return nil, fault.WithHint(fault.New(fault.Unsupported, "cannot use runsc, which %s asks for: %s", runtimeVariable, v.Refused),
				"install a newer release of gVisor, or take the variable out of the environment")
		}
		if !v.Absent {
			s.refused = v.Refused
		}
	}
	d.found.Store(s)
	return s, nil
}

// verdict on a runtime.
type verdict struct {
	Kernel  string `json:"kernel,omitempty"`
	Refused string `json:"refused,omitempty"` // why it cannot hold a bottle
	// Absent: there is no gVisor. Podman lists each runtime that it has heard of, and takes its own
	// for one that is asked for.
	Absent bool `json:"absent,omitempty"`
}

// trier finds the verdict on the engine's runsc. about is what the engine says of it.
type trier func(ctx context.Context, e *engine.Client, about json.RawMessage) (verdict, error)

// try starts a container of this program alone, which tries what a bottle's guest has to.
func (d *Driver) try(ctx context.Context, e *engine.Client, about json.RawMessage) (verdict, error) {
	v := verdict{Refused: tooOld(ctx, about)}
	if v.Refused != "" {
		return v, nil
	}
	_, image, err := d.own(ctx, e)
	if err != nil {
		return v, err
	}
	limited, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	said, err := d.runTrial(limited, e, image)
	var answer *engine.Error
	switch {
	case ctx.Err() != nil:
		return v, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		v.Refused = fmt.Sprintf("it starts no container within %s", trialLimit)
	case errors.As(err, &answer):
		v.Refused = "it starts no container: " + short(answer.Message)
		v.Absent = strings.Contains(answer.Message, "not found") || strings.Contains(answer.Message, "no such file")
	case err != nil:
		return v, err
	default:
		v.judge(said)
	}
	return v, nil
}

// judge reads what a trial printed.
func (v *verdict) judge(said string) {
	kernel, held := strings.CutPrefix(strings.TrimSpace(said), wire.TrialHeld)
	switch {
	case held:
		v.Kernel = short(strings.TrimSpace(kernel))
	case said == "":
		v.Refused = "a program in it ends without a word"
	default:
		v.Refused, v.Absent = short(said), strings.HasPrefix(said, wire.TrialOther)
	}
}

// short is a line of what somebody else says, for a line of ours.
func short(said string) string {
	const limit = 200
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(said))
	return text[:min(limit, len(text))]
}

func (d *Driver) runTrial(ctx context.Context, e *engine.Client, image string) (string, error) {
	release, err := d.making()
	if err != nil {
		return "", err
	}
	defer release()
	id, err := e.Create(ctx, "", trialContainer(image, d.Root))
	if err != nil {
		return "", err
	}
	// It removes itself, unless it was never started.
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwindLimit)
		defer cancel()
		_ = e.Remove(limited, id)
	}()
	var errs bytes.Buffer
	conn, err := e.Attach(ctx, id, &errs)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := e.Start(ctx, id); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	said, err := io.ReadAll(io.LimitReader(conn, 4<<10))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	if len(said) == 0 {
		return errs.String(), nil
	}
	return string(said), nil
}

// trialContainer is an agent's container without anything of a bottle.
func trialContainer(image, root string) engine.Container {
	return engine.Container{
		AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true, WorkingDir: "/", User: "0:0", Image: image,
		Entrypoint: []string{wire.Program}, Cmd: []string{"guest", wire.TrialMode},
		Labels: map[string]string{labelRole: roleTrial, labelRoot: rootTag(root)}, Healthcheck: &engine.Healthcheck{Test: []string{"NONE"}},
		HostConfig: engine.Host{
			Runtime: runsc, NetworkMode: "none", AutoRemove: true,
			ReadonlyRootfs: true, CapDrop: []string{"ALL"}, CapAdd: []string{"SETUID", "SETGID", "SETPCAP"},
			SecurityOpt: []string{"no-new-privileges:true"}, PidsLimit: defaultProcesses, Memory: sidecarMemory,
			LogConfig: &engine.LogConfig{Type: "none"},
		},
	}
}
