package bottle

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// gateWord is what the sidecar knows the run's git gate by; "" where nothing is declared.
func (r *running) gateWord() string {
	if !r.Plan.Git.Gated() {
		return ""
	}
	return rand.Text()
}

// openGate starts the git gate beside the configured sidecar. It runs here, whatever holds the
// bottle: what it needs is on this machine, and its streams reach the sidecar as an operator's do.
func (r *running) openGate(ctx context.Context, word string, values map[string]secret.String) error {
	if word == "" {
		return nil
	}
	operable, ok := r.Driver.(backend.Operable)
	if !ok || r.Gate == nil {
		return fault.New(fault.Unsupported, "backend %s cannot have a git gate", r.Driver.Name())
	}
	link, err := operable.Operate(ctx, r.handle)
	if err != nil {
		return fmt.Errorf("cannot reach the sidecar for the git gate: %w", err)
	}
	setup := gate.Setup{
		Word: word, Canaries: slices.Clone(r.Plan.Placeholders), Asks: r.Plan.Supervise, Known: map[string]string{}, Keys: map[string]string{},
		Sign: r.SignKey.Reveal(),
		Config: gitgate.Config{
			ID: string(r.Plan.ID), Dir: r.run.GitGate(), Git: r.Plan.Git.Program, Repos: slices.Clone(r.Plan.Git.Repos),
			Name: r.Plan.Git.Name, Email: r.Plan.Git.Email, Trailer: r.Plan.Git.Trailer,
		},
	}
	for i := range setup.Config.Repos {
		repo := &setup.Config.Repos[i]
		repo.Mirror = r.Home.Mirror(mirrorName(*repo, r.Keys[repo.Name]))
		if repo.Forge != nil { // its key is this run's own, and so is what it can read
			repo.Mirror = filepath.Join(r.run.GitGate(), "mirrors", repo.Name)
		}
	}
	for ref, value := range values {
		switch ref {
		case control.KeyRef:
		case control.CanaryRef:
			setup.Canaries = append(setup.Canaries, value.Reveal())
		default:
			setup.Known[ref] = value.Reveal()
		}
	}
	for name, value := range r.Keys {
		setup.Keys[name] = value.Reveal()
	}
	r.gate, err = r.Gate(ctx, link, setup)
	return err
}

func (r *running) closeGate() error {
	if r.gate == nil {
		return nil
	}
	return r.gate.Close()
}

// mirrorName is the same for the same remote, key and host key: whoever has these can read all of
// it anyway.
func mirrorName(r plan.GitRepo, key secret.String) string {
	sum := sha256.New()
	for _, part := range []string{r.URL, r.User, r.HostKey, key.Reveal()} {
		fmt.Fprintf(sum, "%d:%s\n", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
