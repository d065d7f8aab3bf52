package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func TestTheProgramForTheEngineLiesBesideThisOne(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "bot-bottle")
	for _, name := range []string{"bot-bottle", "bot-bottle-linux-arm64"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "bot-bottle")
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(filepath.Join(dir, "bot-bottle-linux-arm64"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{own, link} {
		if got, err := beside(from, "aarch64"); err != nil || got != want {
			t.Errorf("from %s: %q, %v, want %q", from, got, err, want)
		}
	}
	_, err = beside(own, "x86_64")
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "bot-bottle-linux-amd64") {
		t.Errorf("one that is not there: %v, hint %q", err, fault.HintOf(err))
	}
	if _, err = beside(own, "riscv64"); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an architecture without a program: %v", err)
	}
}
