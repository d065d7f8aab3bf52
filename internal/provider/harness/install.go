package harness

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// cached is where npm puts the programs of a package that Install fetched.
func cached(cache string, b provider.Binary) string {
	return filepath.Join(packageDir(cache, b), "node_modules", ".bin")
}

func packageDir(cache string, b provider.Binary) string {
	return filepath.Join(cache, "npm", strings.NewReplacer("/", "-", "@", "").Replace(b.NPM))
}

// Install fetches the provider's package with the host's npm into the cache. Two installs at once
// do not disturb each other: each fetches into a directory of its own, which then takes the place.
// Output of npm goes to progress.
func Install(ctx context.Context, b provider.Binary, path, cache string, progress io.Writer) error {
	npm := lookup("npm", path)
	if npm == "" {
		return fault.WithHint(fault.New(fault.NotFound, "cannot install %s: npm is not in PATH", b.NPM),
			"install %s yourself, or npm first (Debian: apt install npm)", b.Command)
	}
	final := packageDir(cache, b)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil { //nolint:gosec // programs, which the bottle's user must be able to read
		return fault.New(fault.Internal, "cannot make the cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(final), ".install-*")
	if err != nil {
		return fault.New(fault.Internal, "cannot make the cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	var last tail
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", tmp, "--no-fund", "--no-audit", "--loglevel", "error", b.NPM)
	cmd.Stdout, cmd.Stderr = progress, io.MultiWriter(progress, &last)
	if err := cmd.Run(); err != nil {
		return fault.WithHint(fault.New(fault.Unavailable, "cannot install %s with npm: %w: %s", b.NPM, err, last.line()),
			"run npm install -g %s yourself and try again", b.NPM)
	}
	if lookup(b.Command, filepath.Join(tmp, "node_modules", ".bin")) == "" {
		return fault.New(fault.Internal, "npm installed %s, but it brought no program %q", b.NPM, b.Command)
	}
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // as above
		return fault.New(fault.Internal, "cannot open the cache for reading: %w", err)
	}
	return replace(tmp, final)
}

func replace(tmp, final string) error {
	old := tmp + ".old"
	if err := os.Rename(final, old); err == nil {
		defer func() { _ = os.RemoveAll(old) }()
	}
	if err := os.Rename(tmp, final); err != nil {
		return fault.New(fault.Internal, "cannot put the install in place: %w", err)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 4 << 10
	t.buf = append(t.buf, p...)
	if len(t.buf) > keep {
		t.buf = t.buf[len(t.buf)-keep:]
	}
	return len(p), nil
}

func (t *tail) line() string {
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return string(lines[0])
}
