package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/harness"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// interruptible is done when the person or the system asks us to stop.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// interrupted is how a run ended that its person may have ended: what broke off because of that is no
// failure of its own, whatever it says. The code of an agent that ended stays.
func interrupted(ctx context.Context, err error) error {
	var agents exit
	switch {
	case err == nil, ctx.Err() == nil, errors.As(err, &agents):
		return err
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "interrupted")
	case fault.Is(err, fault.Canceled):
		return err
	}
	return fault.New(fault.Canceled, "interrupted: %v", err) // its hint is about another end
}

// library opens the manifests of the home and of the current directory.
func (a *App) library(home *store.Home) (*manifest.Library, string, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, "", fault.WithHint(fault.New(fault.NotFound, "cannot tell the current directory: %w", err), "cd to a directory that exists")
	}
	lib, err := manifest.Open(manifest.Options{Home: home.Root(), Cwd: cwd, Templates: a.templates(home), Rules: rules.Names})
	return lib, cwd, err
}

// templates are the providers that a manifest may name.
func (a *App) templates(home *store.Home) []string {
	var names []string
	for _, p := range a.providers(home) {
		names = append(names, p.Name())
	}
	return names
}

// host is what the planner may look at.
func (a *App) host(home *store.Home, lib *manifest.Library, cwd string) planner.Host {
	return planner.Host{
		Library: lib, Providers: a.providers(home), Getenv: a.Getenv,
		Find: func(b provider.Binary) (harness.Program, error) {
			return harness.Find(b, a.env("PATH"), home.Cache())
		},
		Login:    a.hostLogin,
		UserHome: a.env("HOME"), Home: home.Root(), Cwd: cwd, Git: hostGit(), Gate: runsGate, Terminal: hasTerminal(),
	}
}

// install fetches a provider's program, saying what npm says.
func (a *App) install(ctx context.Context, home *store.Home, b provider.Binary) error {
	a.say("installing %s from npm …", b.NPM)
	return harness.Install(ctx, b, a.env("PATH"), home.Cache(), a.Err)
}

// values are what a launch needs and no plan may hold.
type values struct {
	tokens, env map[string]secret.String
	login       *login.Login // the host's own, where it is used
}

// values fetches what a launch needs and no plan may hold: the tokens of the sidecar and the
// forwarded and asked variables of the agent.
func (a *App) values(ctx context.Context, home *store.Home, p *planner.Planned) (v values, err error) {
	v.tokens, v.env = map[string]secret.String{}, map[string]secret.String{}
	var errs []error
	for _, ref := range p.Tokens {
		if ref == loginRef(p) {
			_, l, err := a.readLogin(p.Provider.Name())
			errs = append(errs, err)
			v.tokens[ref], v.login = l.Access, &l
			continue
		}
		value, err := secret.Resolve(ctx, absolute(ref, home), a.Getenv)
		errs = append(errs, err)
		v.tokens[ref] = value
	}
	for _, e := range p.Plan.Env {
		switch e.Source {
		case "host":
			value, _ := a.Getenv(e.Ref)
			v.env[e.Name] = secret.New(value)
		case "ask":
			question := e.Ref
			if question == "" {
				question = "Value of " + e.Name
			}
			value, err := askSecret(ctx, question)
			errs = append(errs, err)
			v.env[e.Name] = value
		}
	}
	return v, errors.Join(errs...)
}

// sensitive are the host's variables whose names begin as BOT_BOTTLE_SENSITIVE_PREFIXES says, a
// list with commas: the agent does not have them, and they must not leave.
func (a *App) sensitive() map[string]secret.String {
	out := map[string]secret.String{}
	if a.Environ == nil {
		return out
	}
	for prefix := range strings.SplitSeq(a.env("BOT_BOTTLE_SENSITIVE_PREFIXES"), ",") {
		if prefix = strings.TrimSpace(prefix); prefix == "" {
			continue
		}
		for _, entry := range a.Environ() {
			if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
				out[name] = secret.New(value)
			}
		}
	}
	return out
}

// absolute makes a file reference independent of the caller's directory, which a repository could
// fill: a relative path starts where the bottles are.
func absolute(ref string, home *store.Home) string {
	file, ok := strings.CutPrefix(ref, "file:")
	if !ok || filepath.IsAbs(file) || strings.HasPrefix(file, "~") {
		return ref
	}
	return "file:" + filepath.Join(home.Bottles(), file)
}

// stdio connects an agent to the caller's streams, and to its terminal where it has one.
func (a *App) stdio(headless bool) (terminal bool, size backend.Size) {
	if headless || !isTerminal(a.In) || !isTerminal(a.Out) {
		return false, backend.Size{}
	}
	size, err := sizeOf(a.In)
	if err != nil {
		size = backend.Size{Rows: 24, Cols: 80}
	}
	return true, size
}
