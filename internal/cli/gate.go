package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// startGate runs this program again as a git gate.
func startGate(ctx context.Context, link net.Conn, setup gate.Setup) (io.Closer, error) {
	return gate.Start(ctx, []string{"/proc/self/exe"}, link, setup)
}

// hostGit finds the git that a gate runs, behind its links.
func hostGit() string {
	path, err := exec.LookPath("git")
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return ""
	}
	return path
}

// maxKey bounds a private key's file.
const maxKey = 64 << 10

// keys reads the private keys and tokens of the declared remotes, each of which must be one that
// can be used.
func (a *App) keys(ctx context.Context, home *store.Home, repos []plan.GitRepo) (map[string]secret.String, error) {
	keys := map[string]secret.String{}
	var errs []error
	for _, r := range repos {
		var key secret.String
		var err error
		if r.Forge != nil {
			continue // it is made when everything else is there
		}
		if r.Token != "" {
			key, err = secret.Resolve(ctx, absolute(r.Token, home), a.Getenv)
		} else if key, err = readKey(r.Key); err == nil {
			err = gitgate.ParseKey(r.Key, key)
		}
		errs = append(errs, err)
		keys[r.Name] = key
	}
	return keys, errors.Join(errs...)
}

// signKey reads the key that commits are signed with, empty where they are not.
func signKey(sign *plan.GitSign) (secret.String, error) {
	if sign == nil {
		return secret.String{}, nil
	}
	key, err := readKey(sign.Key)
	if err == nil {
		err = gitgate.ParseKey(sign.Key, key)
	}
	return key, err
}

func readKey(path string) (secret.String, error) {
	file, err := os.Open(path)
	if err != nil {
		return secret.String{}, fault.WithHint(fault.New(fault.NotFound, "cannot read the key: %w", err), "git-gate.repos.….key.path names a private key's file")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKey))
	if err != nil {
		return secret.String{}, fault.New(fault.Internal, "cannot read the key %s: %w", path, err)
	}
	defer clear(text)
	return secret.New(string(text)), nil
}
