package engine_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func TestFind(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("desktop"))
	meta := filepath.Join(home, ".docker", "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json")
	write(meta, `{"Name":"desktop","Endpoints":{"docker":{"Host":"unix:///desktop.sock"}}}`)
	find := func(env map[string]string) (string, error) {
		env["HOME"] = home
		socket, _, err := engine.Find(func(name string) string { return env[name] })
		return socket, err
	}
	t.Run("DOCKER_HOST comes first", func(t *testing.T) {
		if got, err := find(map[string]string{"DOCKER_HOST": "unix:///own.sock", "DOCKER_CONTEXT": "desktop"}); err != nil || got != "/own.sock" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("then the context that the environment names", func(t *testing.T) {
		if got, err := find(map[string]string{"DOCKER_CONTEXT": "desktop"}); err != nil || got != "/desktop.sock" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("or the current one", func(t *testing.T) {
		write(filepath.Join(home, ".docker", "config.json"), `{"currentContext":"desktop"}`)
		defer os.Remove(filepath.Join(home, ".docker", "config.json"))
		if got, err := find(map[string]string{}); err != nil || got != "/desktop.sock" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("a context that is not there is an error, not another engine", func(t *testing.T) {
		if got, err := find(map[string]string{"DOCKER_CONTEXT": "gone"}); !fault.Is(err, fault.NotFound) || got != "" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("a path is taken as it stands there", func(t *testing.T) {
		if got, err := find(map[string]string{"DOCKER_HOST": "unix:///a b/%41?x#y"}); err != nil || got != "/a b/%41?x#y" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("and has to be absolute", func(t *testing.T) {
		if got, err := find(map[string]string{"DOCKER_HOST": "unix://docker.sock"}); !fault.Is(err, fault.Invalid) || got != "" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("another machine is refused, and its password not told", func(t *testing.T) {
		for _, host := range []string{"tcp://user:hush@192.0.2.7:2376", "ssh://hush@192.0.2.7", "npipe:////./pipe/hush", "%zz://hush"} {
			if _, err := find(map[string]string{"DOCKER_HOST": host}); !fault.Is(err, fault.Unsupported) || strings.Contains(err.Error(), "hush") {
				t.Error(err)
			}
		}
	})
	t.Run("then podman's socket of this user", func(t *testing.T) {
		const machines = "/var/run/docker.sock"
		runtime := t.TempDir()
		path := filepath.Join(runtime, "podman", "podman.sock")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := path
		if _, err := os.Stat(machines); err == nil {
			want = machines // which comes first
		}
		if got, err := find(map[string]string{"XDG_RUNTIME_DIR": runtime}); err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	})
}
