package e2e_test

import (
	"archive/tar"
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
)

// holder makes a world's bottles be held by one backend, with the real program of a provider in
// them.
type holder func(t *testing.T, w *world, program string)

// holders by name, for what must be the same on both.
func holders() map[string]holder { return map[string]holder{"native": inNative, "docker": inDocker} }

func inNative(t *testing.T, w *world, program string) {
	t.Helper()
	needNative(t)
	if err := os.Symlink(need.Agent(t, program), filepath.Join(w.bin, program)); err != nil {
		t.Fatal(err)
	}
}

func inDocker(t *testing.T, w *world, program string) {
	t.Helper()
	files := programFiles(t, program)
	needDocker(t, w)
	text := "FROM " + enginetest.Image + "\n"
	for name := range files {
		text += "COPY " + name + " /usr/local/bin/\n"
	}
	w.env["BOT_BOTTLE_IMAGE"] = dockerEngine.imageOf(t, program, text, files)
}

// programFiles are what an image needs of a program, by their names there. Codex comes without its
// launcher, which needs node.
func programFiles(t *testing.T, program string) map[string]string {
	t.Helper()
	path := need.Agent(t, program)
	if program != "codex" {
		return map[string]string{program: path}
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "..", "..", "codex-linux-*", "vendor", "*", "bin"))
	if len(found) != 1 {
		t.Fatalf("beside %s lies %q", path, found)
	}
	return map[string]string{"codex": filepath.Join(found[0], "codex"), "codex-code-mode-host": filepath.Join(found[0], "codex-code-mode-host")}
}

// imageOf is an image that is made once, of a Dockerfile and the files it copies.
func (e *ownEngine) imageOf(t *testing.T, name, dockerfile string, files map[string]string) string {
	t.Helper()
	ref := "bot-bottle-test:" + name
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.made[ref] {
		return ref
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(packContext(pw, dockerfile, files)) }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	said, err := e.engine.Client.StartBuild(ctx, url.Values{"t": {ref}, "rm": {"1"}}, pr, "")
	_ = pr.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		t.Fatalf("cannot make the image %s: %v", name, err)
	}
	log, err := io.ReadAll(said)
	_ = said.Close()
	if err != nil || !strings.Contains(string(log), "Successfully tagged "+ref) {
		t.Fatalf("cannot make the image %s: %v\n%s", name, err, log)
	}
	if e.made == nil {
		e.made = map[string]bool{}
	}
	e.made[ref] = true
	return ref
}

func packContext(to io.Writer, dockerfile string, files map[string]string) error {
	w := tar.NewWriter(to)
	for name, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
			return err
		}
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, dockerfile); err != nil {
		return err
	}
	return w.Close()
}
