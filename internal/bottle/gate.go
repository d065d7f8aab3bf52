package bottle

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
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

// mirrors names the mirrors that a backend keeps, before it makes a place for them.
func (r *running) mirrors() {
	if r.Plan.Git.Gate != plan.GateInBackend {
		return
	}
	p := *r.Plan
	p.Git.Repos = slices.Clone(p.Git.Repos)
	for i := range p.Git.Repos {
		if repo := &p.Git.Repos[i]; repo.Forge == nil {
			repo.Mirror = mirrorName(*repo, r.Keys[repo.Name])
		}
	}
	r.Plan = &p
}

// opening is a git gate that is being started.
type opening struct {
	r     *running
	setup gate.Setup
	ended chan error // of a gate in the backend; nil: there is none
	in    *gate.Remote
}

// beginGate sets a gate in the backend up while the sidecar is, which costs both the same time.
func (r *running) beginGate(ctx context.Context, word string, values map[string]secret.String) (*opening, error) {
	o := &opening{r: r}
	if word == "" {
		return o, nil
	}
	o.setup = r.gateSetup(word, values)
	if r.Plan.Git.Gate != plan.GateInBackend {
		return o, nil
	}
	host, ok := r.Driver.(backend.GateHost)
	if !ok {
		return nil, fault.New(fault.Unsupported, "backend %s has no place for a git gate", r.Driver.Name())
	}
	place, err := host.Gate(ctx, r.handle)
	if err != nil {
		return nil, err
	}
	o.setup.Config.Dir = place.Dir
	for i := range o.setup.Config.Repos {
		repo := &o.setup.Config.Repos[i]
		if repo.Forge != nil {
			repo.Mirror = path.Join(place.Dir, "mirrors", repo.Name)
		} else {
			repo.Mirror = place.Mirrors[repo.Mirror]
		}
	}
	o.ended = make(chan error, 1)
	go func() {
		var err error
		o.in, err = gate.Tell(ctx, place.Control, place.Link, o.setup)
		o.ended <- err
	}()
	return o, nil
}

// settle waits for what begin started, and takes it over.
func (o *opening) settle() error {
	if o.ended == nil {
		return nil
	}
	err := <-o.ended
	if o.in != nil {
		o.r.gate = o.in
	}
	return err
}

// openGate lets the gate join the configured sidecar: one that the backend has, else one that is
// started here as a process. Its streams reach the sidecar as an operator's do.
func (r *running) openGate(ctx context.Context, o *opening) error {
	if o.setup.Word == "" {
		return nil
	}
	operable, ok := r.Driver.(backend.Operable)
	if !ok || o.in == nil && r.Gate == nil {
		return fault.New(fault.Unsupported, "backend %s cannot have a git gate", r.Driver.Name())
	}
	sidecar, err := operable.Operate(ctx, r.handle)
	if err != nil {
		return fmt.Errorf("cannot reach the sidecar for the git gate: %w", err)
	}
	if o.in != nil {
		o.in.Join(sidecar)
		return nil
	}
	r.gate, err = r.Gate(ctx, sidecar, o.setup)
	return err
}

// gateSetup is what the gate is told, with the paths of a gate on this host.
func (r *running) gateSetup(word string, values map[string]secret.String) gate.Setup {
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
		switch {
		case r.Plan.Git.Gate == plan.GateInBackend: // it says itself where they are
		case repo.Forge != nil: // its key is this run's own, and so is what it can read
			repo.Mirror = filepath.Join(r.run.GitGate(), "mirrors", repo.Name)
		default:
			repo.Mirror = r.Home.Mirror(mirrorName(*repo, r.Keys[repo.Name]))
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
	return setup
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
