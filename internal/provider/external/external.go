// Package external runs providers that are programs of the user's own.
//
// Its one rule: the program gets no secret and names none; what it replies is checked as if a
// stranger had written it.
package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/plugin"
)

// Limits of what a plugin may cost.
const (
	timeLimit  = 5 * time.Second
	maxReply   = 1 << 20
	maxErrors  = 2 << 10
	executable = "provider"
)

// Provider is one plugin. It implements provider.Provider.
type Provider struct {
	name, dir, path string
}

// New is the plugin in a directory whose name is the provider's. Path is what it finds programs in.
func New(dir, path string) Provider { return Provider{filepath.Base(dir), dir, path} }

// Find returns the plugins below a directory, by name. What is no plugin is left out.
func Find(below, path string) []Provider {
	entries, err := os.ReadDir(below)
	if err != nil {
		return nil
	}
	var found []Provider
	for _, e := range entries {
		dir := filepath.Join(below, e.Name())
		if _, err := os.Stat(filepath.Join(dir, executable)); err == nil && ValidName(e.Name()) {
			found = append(found, New(dir, path))
		}
	}
	return found
}

// ValidName reports whether a manifest can name such a provider.
func ValidName(name string) bool { return regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(name) }

// Name implements provider.Provider.
func (p Provider) Name() string { return p.name }

// Spec implements provider.Provider.
func (p Provider) Spec(r provider.Request) (provider.Spec, error) {
	if r.Settings.ForwardHostCredentials {
		return provider.Spec{}, fault.WithHint(fault.New(fault.Unsupported, "agent_provider.forward_host_credentials is not available for the plugin %s", p.name),
			"set agent_provider.auth_token to the name of a host variable that holds its token")
	}
	raw, err := p.ask(request(p.name, r))
	if err != nil {
		return provider.Spec{}, p.refuse(err)
	}
	reply, err := plugin.Decode(raw)
	if err != nil {
		return provider.Spec{}, p.refuse(err)
	}
	if reply.Error != "" {
		err := fault.New(fault.Unsupported, "the provider %s says: %s", p.name, clip(reply.Error))
		if reply.Hint != "" {
			return provider.Spec{}, fault.WithHint(err, "%s", clip(reply.Hint))
		}
		return provider.Spec{}, fault.WithHint(err, "bot-bottle provider check %s shows what it can do", p.name)
	}
	spec, err := p.spec(r, reply)
	if err != nil {
		return provider.Spec{}, p.refuse(err)
	}
	return spec, nil
}

func (p Provider) refuse(err error) error {
	return fault.WithHint(fault.New(fault.Invalid, "cannot use the provider at %s: %w", filepath.Join(p.dir, executable), err),
		"bot-bottle provider check %s tries it, and bot-bottle schema provider prints what it must answer", p.name)
}

func request(name string, r provider.Request) plugin.Request {
	q := plugin.Request{
		Version: plugin.Version, Name: name, Home: plan.Home, Dir: r.Dir, Prompt: r.Prompt, PromptPath: r.PromptPath, Task: r.Task,
		Headless: r.Headless, Resume: r.Resume, RemoteControl: r.RemoteControl, Args: append([]string{}, r.Args...),
		Label: r.Label, Color: r.Color, HasCredential: r.Settings.AuthToken != "", Servers: []plugin.Server{},
	}
	for _, s := range r.Servers {
		q.Servers = append(q.Servers, plugin.Server{Name: s.Name, URL: s.URL})
	}
	return q
}

// ask runs the program once. It is in a group of its own, so that the end of its time ends its
// children, too.
func (p Provider) ask(q plugin.Request) ([]byte, error) {
	program := filepath.Join(p.dir, executable)
	if err := trusted(p.dir, program); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if err := keep(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir, cmd.Stdin = p.dir, bytes.NewReader(encoded)
	cmd.Env = []string{"PATH=" + p.path, "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, errs := bounded{most: maxReply, full: cancel}, bounded{most: maxErrors}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	switch {
	case out.cut:
		return nil, fmt.Errorf("its reply is longer than %d bytes", maxReply)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it did not answer within %v", timeLimit)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errors.New("it left a process behind that holds its output")
	case err != nil && len(errs.data) > 0:
		return nil, fmt.Errorf("%w: it said %q", err, clip(string(errs.data)))
	case err != nil:
		return nil, err
	}
	return out.data, nil
}

// keep has no program that this process starts inherit what it was itself given: a shell passes on
// whatever it has open.
func keep() error {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// trusted refuses a program that somebody else could have written: it runs with the user's rights.
func trusted(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return err
		}
		if info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("others may write to %s: chmod go-w it", path)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
			return fmt.Errorf("%s belongs to another user", path)
		}
	}
	return nil
}

// bounded keeps the first bytes of what is written, and says when there are more.
type bounded struct {
	data []byte
	most int
	cut  bool
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - len(b.data)
	if room < len(p) {
		b.cut = true
		if b.full != nil {
			b.full()
		}
	}
	b.data = append(b.data, p[:min(room, len(p))]...)
	return len(p), nil
}

// clip bounds what is repeated of a plugin's words, on one line that drives no terminal.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
