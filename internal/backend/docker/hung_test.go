package docker

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An engine that takes connections and never answers holds up nobody for long.
func TestAnEngineThatHangsIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := New(Config{Program: os.Executable, Root: dir, Getenv: func(name string) string {
		if name == "DOCKER_HOST" {
			return "unix://" + socket
		}
		return ""
	}})
	began := time.Now()
	if _, err := d.List(t.Context()); err == nil || !strings.Contains(err.Error(), "did not answer within") {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
