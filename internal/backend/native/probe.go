package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/guest"
	"github.com/bot-bottle/bot-bottle/internal/host"
)

// Names of features that a plan may need.
const (
	FeatureProcessLimit = "limit-processes"
	FeatureMemoryLimit  = "limit-memory"
	FeatureCPULimit     = "limit-cpu"
	FeatureTrust        = "trust"
)

// Probe implements backend.Prober. It makes the namespaces, the rules and the mounts of a bottle
// once, in a process that then ends: the kernel's own word, in a few milliseconds.
func (d *Driver) Probe(ctx context.Context) (backend.Capabilities, error) {
	refusal, err := d.try(ctx)
	if err != nil {
		return backend.Capabilities{}, err
	}
	return judgeHost(host.Gather(), refusal, features(ownControllers())), nil
}

// judgeHost turns facts, and what the trial said, into what a person reads.
func judgeHost(f host.Facts, refusal string, features []string) backend.Capabilities {
	c := backend.Capabilities{Works: true, Problems: []backend.Problem{}, Features: features}
	report := func(required bool, what, fix string) {
		c.Works = c.Works && !required
		c.Problems = append(c.Problems, backend.Problem{What: what, Fix: fix, Required: required})
	}
	if refusal != "" {
		if p, found := f.Namespaces(); found {
			report(true, p.What, p.Fix)
		} else {
			report(true, refusal, remedy(refusal))
		}
	}
	if !f.Seccomp {
		report(true, "the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER=y")
	}
	fences := []string{"user namespace", "seccomp"}
	if f.Landlock > 0 {
		fences = append(fences, fmt.Sprintf("Landlock ABI %d", f.Landlock))
	} else {
		report(false, "the kernel has no Landlock, the second fence around the file system",
			"boot with landlock in the lsm= list (kernel 5.13 or newer)")
	}
	if !slices.Contains(features, FeatureMemoryLimit) {
		report(false, "memory cannot be limited: no cgroup may be made here",
			"run as root, or in a systemd scope with a delegated memory controller")
	}
	c.Isolation = strings.Join(fences, ", ")
	return c
}

// remedy follows from the step that was refused.
func remedy(refusal string) string {
	switch {
	case strings.Contains(refusal, "redirect") || strings.Contains(refusal, "nftables"):
		return "sudo modprobe -a nf_tables nft_redir nft_ct nft_reject_inet"
	case strings.Contains(refusal, "/proc"):
		return "a container hides parts of /proc: run on the host, or start the container with /proc unmasked"
	}
	return "use another backend, or run bot-bottle as root"
}

func features(found []controller) []string {
	all := []string{FeatureProcessLimit, FeatureTrust}
	for _, c := range found {
		feature := map[string]string{"memory": FeatureMemoryLimit, "cpu": FeatureCPULimit}[c.name]
		if feature != "" && !slices.Contains(all, feature) {
			all = append(all, feature)
		}
	}
	return all
}

// try runs the guest's own trial. A refusal is an answer, not an error.
func (d *Driver) try(ctx context.Context) (refusal string, err error) {
	who := ids{uid: os.Geteuid(), gid: os.Getegid()}
	if ownsIDs() {
		who = ids{firstID, firstID, true}
	}
	args := append(append([]string{}, d.self[1:]...), "guest", guest.ModeProbe)
	cmd := exec.CommandContext(ctx, d.self[0], args...)
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, "/", &out, &out
	cmd.SysProcAttr = who.namespaces()
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit):
		return strings.TrimSpace(out.String()), nil
	case refused(err):
		return "the kernel makes no namespaces: " + err.Error(), nil
	}
	return "", fmt.Errorf("cannot probe: %w", err)
}

// refused tells a kernel that does not make namespaces from every other failure.
func refused(err error) bool {
	for _, e := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EINVAL, syscall.EUSERS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
