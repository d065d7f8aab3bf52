package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Getenv looks up a variable of the caller.
type Getenv func(string) string

// Find returns the unix socket of the engine that the caller's docker would use: DOCKER_HOST, the
// current context, else the first of the usual sockets that is there. fault.NotFound: there is
// none; fault.Unsupported: it is on another machine.
func Find(getenv Getenv) (socket, why string, err error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		socket, err = local(host, "DOCKER_HOST")
		return socket, "DOCKER_HOST", err
	}
	config := getenv("DOCKER_CONFIG")
	if config == "" {
		config = filepath.Join(getenv("HOME"), ".docker")
	}
	name, host, err := current(config, getenv("DOCKER_CONTEXT"))
	if err != nil {
		return "", "", err
	}
	if host != "" {
		why = "the docker context " + name
		socket, err = local(host, why)
		return socket, why, err
	}
	for _, path := range usual(getenv) {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			return path, "its usual place", nil
		}
	}
	return "", "", fault.WithHint(fault.New(fault.NotFound, "there is no engine: no socket of Docker or Podman in the usual places"),
		"install and start Docker Engine 20.10 or newer, or name its socket in DOCKER_HOST")
}

// usual are the places where engines listen, the system's first.
func usual(getenv Getenv) []string {
	all := []string{"/var/run/docker.sock"}
	home, runtime := getenv("HOME"), getenv("XDG_RUNTIME_DIR")
	if runtime != "" {
		all = append(all, filepath.Join(runtime, "docker.sock"))
	}
	if home != "" {
		all = append(all, filepath.Join(home, ".docker", "run", "docker.sock"), filepath.Join(home, ".docker", "desktop", "docker.sock"))
	}
	if runtime != "" {
		all = append(all, filepath.Join(runtime, "podman", "podman.sock"))
	}
	return append(all, "/run/podman/podman.sock")
}

// local takes the path out of an address; as for docker it is what stands there, with every
// character that a URL would give another meaning.
func local(host, why string) (string, error) {
	path, unix := strings.CutPrefix(host, "unix://")
	switch {
	case unix && filepath.IsAbs(path):
		return path, nil
	case unix:
		return "", fault.WithHint(fault.New(fault.Invalid, "%s names the socket %q, which is not an absolute path", why, path),
			"an address has three slashes: unix:///run/docker.sock")
	}
	u, _ := url.Parse(host)
	return "", fault.WithHint(fault.New(fault.Unsupported, "%s names an engine that is not on this machine: %s", why, scheme(u)),
		"a bottle's home and sidecar are on this machine: name a unix:// socket")
}

// scheme of an address; the rest may hold a password.
func scheme(u *url.URL) string {
	if u == nil || u.Scheme == "" {
		return "an address without a scheme"
	}
	return u.Scheme + "://…"
}

// current finds the address of the current context as docker does; "" for the default one.
func current(config, name string) (string, string, error) {
	if name == "" {
		raw, err := os.ReadFile(filepath.Join(config, "config.json"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", fault.New(fault.Invalid, "cannot read the docker context: %w", err)
		}
		var c struct {
			CurrentContext string `json:"currentContext"`
		}
		if err == nil && json.Unmarshal(raw, &c) != nil {
			return "", "", fault.New(fault.Invalid, "cannot read %s: it is not JSON", filepath.Join(config, "config.json"))
		}
		name = c.CurrentContext
	}
	if name == "" || name == "default" {
		return "", "", nil
	}
	sum := sha256.Sum256([]byte(name))
	file := filepath.Join(config, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", "", fault.WithHint(fault.New(fault.NotFound, "cannot read the docker context %q: %w", name, err), "docker context ls shows what there is")
	}
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return "", "", fault.New(fault.Invalid, "cannot read the docker context %q: %w", name, err)
	}
	return name, meta.Endpoints["docker"].Host, nil
}
