package pack_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/pack"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func packed(t *testing.T, dir string) (map[string]*tar.Header, map[string]string, pack.Summary) {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	sum, err := pack.Tree(t.Context(), w, dir, "w", pack.WithoutGitCredentials)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	headers, bodies := map[string]*tar.Header{}, map[string]string{}
	for r := tar.NewReader(&buf); ; {
		h, err := r.Next()
		if err == io.EOF {
			return headers, bodies, sum
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		headers[h.Name], bodies[h.Name] = h, string(body)
	}
}

func TestTreeTakesFilesAndLeavesTheRest(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "top", 0o600)
	write(t, filepath.Join(dir, "a", "run.sh"), "#!/bin/sh\n", os.ModeSetuid|0o755)
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "a", "run.sh"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	headers, bodies, sum := packed(t, dir)
	if h := headers["w/a/run.sh"]; h == nil || h.Mode != 0o755 || bodies["w/a/run.sh"] != "#!/bin/sh\n" {
		t.Errorf("run.sh: %+v", h)
	}
	if h := headers["w/link"]; h == nil || h.Typeflag != tar.TypeSymlink || bodies["w/link"] != "" {
		t.Errorf("link: %+v", h)
	}
	if h := headers["w/hard"]; h == nil || h.Typeflag != tar.TypeReg {
		t.Errorf("hard link: %+v", h)
	}
	if headers["w/pipe"] != nil || len(sum.Skipped) != 1 || sum.Skipped[0] != "pipe: a pipe" {
		t.Errorf("pipe travelled or was not named: %v", sum.Skipped)
	}
	for name, h := range headers {
		if h.Uid != 0 || h.Uname != "" || h.Mode&0o7000 != 0 {
			t.Errorf("%s carries owner or special bits: %+v", name, h)
		}
	}
	if sum.Files != 2 {
		t.Errorf("%d files", sum.Files)
	}
}

func TestCredentialsInGitConfigStayBehind(t *testing.T) {
	dir := t.TempDir()
	token := "ghp_" + strings.Repeat("x1", 18)
	config := "[remote \"origin\"]\n\turl = https://me:" + token + "@git.example.org/a.git\n" +
		"[http]\n\textraHeader = Authorization: Basic " + token + "\n[user]\n\tname = Me\n"
	write(t, filepath.Join(dir, ".git", "config"), config, 0o644)
	write(t, filepath.Join(dir, ".git", "modules", "sub", "config"), config, 0o644)
	write(t, filepath.Join(dir, "config"), config, 0o644)
	_, bodies, _ := packed(t, dir)
	for _, name := range []string{"w/.git/config", "w/.git/modules/sub/config"} {
		got := bodies[name]
		if strings.Contains(got, token) {
			t.Errorf("%s still holds the credential:\n%s", name, got)
		}
		if !strings.Contains(got, "https://git.example.org/a.git") || !strings.Contains(got, "name = Me") {
			t.Errorf("%s lost more than the credential:\n%s", name, got)
		}
	}
	if bodies["w/config"] != config {
		t.Error("a file of the project was changed")
	}
}

func TestChangedSeesEveryKindOfChangeAndNothingElse(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(dir string) error
		want bool
	}{
		"nothing":        {func(string) error { return nil }, false},
		"reading":        {func(d string) error { _, err := os.ReadFile(filepath.Join(d, "f")); return err }, false},
		"git's index":    {func(d string) error { return os.WriteFile(filepath.Join(d, ".git", "index"), []byte("x"), 0o600) }, false},
		"a written file": {func(d string) error { return os.WriteFile(filepath.Join(d, "f"), []byte("x"), 0o600) }, true},
		"a removed file": {func(d string) error { return os.Remove(filepath.Join(d, "sub", "g")) }, true},
		"a new file":     {func(d string) error { return os.WriteFile(filepath.Join(d, "n"), nil, 0o600) }, true},
		"other rights":   {func(d string) error { return os.Chmod(filepath.Join(d, "f"), 0o400) }, true},
		"a commit":       {func(d string) error { return os.WriteFile(filepath.Join(d, ".git", "HEAD"), nil, 0o600) }, true},
		"a back-dated one": {func(d string) error {
			f := filepath.Join(d, "f")
			if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(f, time.Unix(1, 0), time.Unix(1, 0))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "f"), "1", 0o600)
			write(t, filepath.Join(dir, "sub", "g"), "1", 0o600)
			write(t, filepath.Join(dir, ".git", "index"), "1", 0o600)
			since, err := pack.Mark(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.do(dir); err != nil {
				t.Fatal(err)
			}
			if got := pack.Changed(dir, since); got != tc.want {
				t.Errorf("Changed = %v, want %v", got, tc.want)
			}
		})
	}
}
