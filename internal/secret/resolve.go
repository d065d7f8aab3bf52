package secret

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/zalando/go-keyring"
)

// Limits of what a reference may cost.
const (
	commandTime = 30 * time.Second
	maxValue    = 64 << 10
)

// Resolve finds the value that ref points at, on the host: "file:PATH" (~ is $HOME; one newline
// at the end is cut off), "cmd:COMMAND" (run by sh with the caller's environment; white space
// around its output is cut off), "keyring:SERVICE/USER", or else the name of a host variable,
// which env looks up. An empty value is an error. Errors name the reference and never a value.
func Resolve(ctx context.Context, ref string, env func(string) (string, bool)) (String, error) {
	kind, rest, ok := strings.Cut(ref, ":")
	if !ok {
		return fromVariable(ref, env)
	}
	switch kind {
	case "file":
		return fromFile(rest, env)
	case "cmd":
		return fromCommand(ctx, rest)
	case "keyring":
		return fromKeyring(rest)
	}
	return String{}, fault.WithHint(
		fault.New(fault.Invalid, "cannot use the reference %q: %q is no kind of reference", clip(ref), clip(kind)),
		"write the name of a host variable, file:PATH, cmd:COMMAND or keyring:SERVICE/USER")
}

func fromVariable(name string, env func(string) (string, bool)) (String, error) {
	value, ok := env(name)
	if !ok || value == "" {
		what := "it is not set"
		if ok {
			what = "it is empty"
		}
		return String{}, fault.WithHint(fault.New(fault.NotFound, "cannot read the host variable %s: %s", clip(name), what),
			"export %s=… before you start, or point to a file with file:PATH", clip(name))
	}
	return New(value), nil
}

func fromFile(path string, env func(string) (string, bool)) (String, error) {
	named := path
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, ok := env("HOME")
		if !ok || home == "" {
			return String{}, fault.New(fault.NotFound, "cannot read file:%s: HOME is not set", named)
		}
		path = filepath.Join(home, rest)
	}
	file, err := os.Open(path)
	if err != nil {
		return String{}, fileFault(named, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return String{}, fault.New(fault.Invalid, "cannot read file:%s: it is no regular file", named)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxValue+1))
	if err != nil {
		return String{}, fileFault(named, err)
	}
	defer clear(data)
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	return checked(value, "file:"+named, "put the value into "+named)
}

func fileFault(named string, err error) error {
	kind := fault.Internal
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = fault.NotFound
	case errors.Is(err, os.ErrPermission):
		kind = fault.Denied
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fault.WithHint(fault.New(kind, "cannot read file:%s: %w", named, err), "put the value into %s and chmod 600 it", named)
}

// Exposed reports whether a file reference points at a file that others may read, so that the
// caller can warn. It is false for every other kind of reference.
func Exposed(ref string, env func(string) (string, bool)) bool {
	path, ok := strings.CutPrefix(ref, "file:")
	if !ok {
		return false
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, _ := env("HOME")
		path = filepath.Join(home, rest)
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o077 != 0
}

// fromCommand runs in its own group, so that the end of the time ends its children, too. What it
// says on its errors is not repeated: it may be the value.
func fromCommand(ctx context.Context, command string) (String, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bounded
	cmd.Stdout = &out
	err := cmd.Run()
	defer clear(out.data)
	name := "cmd:" + clip(command)
	switch {
	case ctx.Err() != nil:
		return String{}, fault.WithHint(fault.New(fault.Canceled, "cannot run %s: it took longer than %s or was cancelled", name, commandTime),
			"run it by hand; it must not ask anything")
	case err != nil:
		return String{}, fault.WithHint(fault.New(fault.Unavailable, "cannot run %s: %w", name, err), "run it by hand to see what it says")
	case out.cut:
		return String{}, fault.New(fault.Invalid, "cannot use %s: it prints more than %d bytes", name, maxValue)
	}
	return checked(strings.TrimSpace(string(out.data)), name, "it must print the value on its standard output")
}

func fromKeyring(entry string) (String, error) {
	service, user, ok := strings.Cut(entry, "/")
	if !ok || service == "" || user == "" {
		return String{}, fault.WithHint(fault.New(fault.Invalid, "cannot use keyring:%s: it has no user", clip(entry)), "write keyring:SERVICE/USER")
	}
	value, err := keyring.Get(service, user)
	if errors.Is(err, keyring.ErrNotFound) {
		return String{}, fault.WithHint(fault.New(fault.NotFound, "cannot find keyring:%s", clip(entry)),
			"store it, such as with: secret-tool store --label=%s service %s username %s", service, service, user)
	}
	if err != nil {
		return String{}, fault.WithHint(fault.New(fault.Unavailable, "cannot read keyring:%s: %w", clip(entry), err),
			"unlock the keyring, or use file:PATH where there is none")
	}
	return checked(value, "keyring:"+clip(entry), "store a value under that name")
}

// checked refuses what no credential is: nothing, or several lines.
func checked(value, name, hint string) (String, error) {
	switch {
	case value == "":
		return String{}, fault.WithHint(fault.New(fault.NotFound, "cannot use %s: it is empty", name), "%s", hint)
	case len(value) > maxValue:
		return String{}, fault.New(fault.Invalid, "cannot use %s: it is longer than %d bytes", name, maxValue)
	case strings.ContainsAny(value, "\x00\r\n"):
		return String{}, fault.WithHint(fault.New(fault.Invalid, "cannot use %s: it has more than one line", name), "%s", hint)
	}
	return New(value), nil
}

// clip bounds what an error repeats of a reference.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

// bounded keeps the first bytes of what is written and says whether there were more.
type bounded struct {
	data []byte
	cut  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := maxValue - len(b.data)
	if room < len(p) {
		b.cut = true
	}
	b.data = append(b.data, p[:min(room, len(p))]...)
	return len(p), nil
}
