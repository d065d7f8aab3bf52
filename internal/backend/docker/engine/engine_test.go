package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// spoken is an engine that knows the API from one version to another and keeps what it was asked.
func spoken(t *testing.T, oldest, newest int, head map[string]string) (*engine.Client, func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []string
	server := &http.Server{ReadHeaderTimeout: 0, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		for name, value := range head {
			w.Header().Set(name, value)
		}
		var minor int
		if n, _ := fmt.Sscanf(r.URL.Path, "/v1.%d/", &minor); n == 0 {
			w.Header().Set("Api-Version", fmt.Sprintf("1.%d", newest))
			return
		}
		switch {
		case minor < oldest:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"message":"client version 1.%d is too old. Minimum supported API version is 1.%d, please upgrade your client to a newer version"}`, minor, oldest)
		case strings.HasSuffix(r.URL.Path, "/odd/json"):
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html><body>some proxy</body></html>")
		case strings.HasSuffix(r.URL.Path, "/plain/json"):
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "it is starting\nand more")
		default:
			fmt.Fprint(w, "{}")
		}
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	c := engine.New(socket)
	t.Cleanup(c.Close)
	return c, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(asked, " ")
	}
}

func TestTheVersionIsOneThatBothKnow(t *testing.T) {
	for name, c := range map[string]struct {
		oldest, newest int
		pin, want      string
	}{
		"an old engine's newest":                  {12, 41, "", "/_ping /v1.41/info /v1.41/info"},
		"ours, where the engine is newer":         {44, 52, "", "/_ping /v1.47/info /v1.47/info"},
		"its oldest, where it knows only newer":   {50, 60, "", "/_ping /v1.47/info /v1.50/info /v1.50/info"},
		"the user's choice, and nothing is asked": {12, 52, "1.43", "/v1.43/info /v1.43/info"},
	} {
		t.Run(name, func(t *testing.T) {
			e, asked := spoken(t, c.oldest, c.newest, nil)
			if c.pin != "" {
				if err := e.Pin(c.pin); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := e.Info(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if asked() != c.want {
				t.Errorf("it was asked %s", asked())
			}
		})
	}
	t.Run("or there is none", func(t *testing.T) {
		e, _ := spoken(t, 12, 40, nil)
		if _, err := e.Info(t.Context()); !fault.Is(err, fault.Unsupported) {
			t.Errorf("an engine that is too old: %v", err)
		}
		e, _ = spoken(t, 50, 60, nil)
		if err := e.Pin("1.43"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "1.50") {
			t.Errorf("a choice that the engine has outgrown: %v", err)
		}
	})
	for _, pin := range []string{"1.40", "2.50", "new", "1.", "1.x", "v"} {
		if err := engine.New("/none").Pin(pin); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", pin, err)
		}
	}
}

func TestARefusalThatIsNotTheEngines(t *testing.T) {
	e, _ := spoken(t, 41, 41, nil)
	for ref, want := range map[string]string{"odd": "502 Bad Gateway", "plain": "503 Service Unavailable: it is starting"} {
		if _, err := e.HasImage(t.Context(), ref); err == nil || err.Error() != want {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestWhoHasBuildKit(t *testing.T) {
	for name, c := range map[string]struct {
		head map[string]string
		want bool
	}{
		"Docker says so":                              {map[string]string{"Builder-Version": "2", "Ostype": "linux"}, true},
		"Docker is set to have none":                  {map[string]string{"Builder-Version": "1", "Server": "Docker/20.10.24 (linux)", "Ostype": "linux"}, false},
		"Docker before 23 has it and says nothing":    {map[string]string{"Server": "Docker/20.10.24+dfsg1 (linux)", "Ostype": "linux"}, true},
		"Podman has none and says nothing":            {map[string]string{"Server": "Libpod/4.3.1 (linux)", "Ostype": "linux", "Builder-Version": ""}, false},
		"an engine of which nothing is known":         {map[string]string{}, false},
		"Docker on Windows has none for its own kind": {map[string]string{"Server": "Docker/20.10.24 (windows)", "Ostype": "windows"}, false},
	} {
		e, _ := spoken(t, 41, 41, c.head)
		if got, err := e.BuildKit(context.Background()); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
