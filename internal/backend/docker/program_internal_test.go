package docker

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
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

// An engine may run other machine code than this program does: in a virtual machine, also on Linux.
func TestTheProgramIsTheEnginesKind(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "bot-bottle-"+runtime.GOOS+"-"+runtime.GOARCH)
	words := map[string][]string{"amd64": {"x86_64", "amd64"}, "arm64": {"aarch64", "arm64"}}
	for arch := range words {
		if err := os.WriteFile(filepath.Join(dir, "bot-bottle-linux-"+arch), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for arch, said := range words {
		for _, word := range said {
			d := New(Config{Program: func() (string, error) { return own, nil }})
			got, err := d.program(t.Context(), saysOfItself(t, fmt.Sprintf(`{"Architecture":%q}`, word)))
			if want := "bot-bottle-linux-" + arch; err != nil || filepath.Base(got) != want {
				t.Errorf("for %s: %q, %v, want %q", word, got, err, want)
			}
		}
	}
	d := New(Config{Program: func() (string, error) { return own, nil }})
	if _, err := d.program(t.Context(), saysOfItself(t, `{"Architecture":"riscv64"}`)); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an architecture without a program: %v", err)
	}
}

// What `make release` builds has the names that are looked for, one beside the other.
func TestAReleaseHoldsTheProgramsThatAreLookedFor(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\nrelease:")
	recipe, _, _ = strings.Cut(recipe, "\n.PHONY")
	if !strings.Contains(recipe, "-o dist/bot-bottle-$$(echo $$target | tr / -)") {
		t.Errorf("it names its files otherwise: %s", recipe)
	}
	for _, target := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		if !strings.Contains(recipe, " "+target) {
			t.Errorf("it does not build %s", target)
		}
	}
}

// saysOfItself is an engine with this account of itself.
func saysOfItself(t *testing.T, info string) *engine.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		fmt.Fprint(w, info)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return engine.New(socket)
}
