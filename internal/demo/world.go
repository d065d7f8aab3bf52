package demo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TokenVariable is the host variable that holds the demo's credential.
const TokenVariable = "DEMO_TOKEN"

// World is everything outside the bottle: a home with manifests, a credential, an upstream that
// is allowed and one that is not.
type World struct {
	Dir, Home, Bin string
	Token          string
	HomeFile       string
	Allowed        *standin.Upstream
}

// NewWorld builds a world in a directory of its own. program is the path of this program, which
// is the adversary too.
func NewWorld(program string) (*World, error) {
	dir, err := os.MkdirTemp("", "bot-bottle-demo-*")
	if err != nil {
		return nil, fault.New(fault.Internal, "cannot make a place for the demo: %w", err)
	}
	w := &World{Dir: dir, Home: filepath.Join(dir, "home"), Bin: filepath.Join(dir, "bin"), HomeFile: filepath.Join(dir, "host-home", "id_demo")}
	if err := w.build(program); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) build(program string) error {
	random := make([]byte, 12)
	if _, err := rand.Read(random); err != nil {
		return fault.New(fault.Internal, "cannot make a token: %w", err)
	}
	w.Token = "demo-real-" + hex.EncodeToString(random)
	up, err := standin.Start(standin.Config{Default: standin.JSON(`{"login":"demo"}`)})
	if err != nil {
		return fault.New(fault.Internal, "cannot start the stand-in upstream: %w", err)
	}
	w.Allowed = up
	bottle := fmt.Sprintf(`---
agent_provider: {template: demo}
egress:
  log: full
  routes:
    - host: %s
      matches: [{paths: [{type: prefix, value: /v1/}], methods: [GET]}]
      auth: {scheme: Bearer, token_ref: %s}
      connect_to: %s
      upstream_ca: upstream-ca.pem
---

The demo's bottle: one host, one path, one credential.
`, AllowedHost, TokenVariable, up.Addr())
	files := map[string]string{
		filepath.Join(w.Home, "bottles", "demo.md"):         bottle,
		filepath.Join(w.Home, "bottles", "upstream-ca.pem"): up.CA(),
		filepath.Join(w.Home, "agents", "demo.md"):          "---\nbottle: demo\n---\n\nGet out and take something along.\n",
		w.HomeFile: "a key that must stay here\n",
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fault.New(fault.Internal, "cannot build the demo: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fault.New(fault.Internal, "cannot build the demo: %w", err)
		}
	}
	if err := os.MkdirAll(w.Bin, 0o700); err != nil {
		return fault.New(fault.Internal, "cannot build the demo: %w", err)
	}
	if err := os.Symlink(program, filepath.Join(w.Bin, Command)); err != nil {
		return fault.New(fault.Internal, "cannot build the demo: %w", err)
	}
	return nil
}

// Close ends the upstream and removes the world.
func (w *World) Close() error {
	var err error
	if w.Allowed != nil {
		err = w.Allowed.Close()
	}
	return errors.Join(err, os.RemoveAll(w.Dir))
}
