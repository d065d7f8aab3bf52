package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/login"
	"github.com/bot-bottle/bot-bottle/internal/planner"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// hostLogin reads the facts of the host's own login of a provider.
func (a *App) hostLogin(name string) (provider.Login, string, error) {
	format, l, err := a.readLogin(name)
	if err == nil {
		err = format.Usable(l, time.Now())
	}
	return l.Login, format.Issuer, err
}

func (a *App) readLogin(name string) (login.Format, login.Login, error) {
	format, ok := login.For(name)
	if !ok {
		return format, login.Login{}, fault.WithHint(fault.New(fault.Unsupported, "agent_provider.forward_host_credentials is not available for %s", name),
			"set agent_provider.auth_token to the name of a host variable that holds its token")
	}
	l, err := format.Read(format.File(a.env("HOME"), a.Getenv))
	return format, l, err
}

func way(p *planner.Planned) login.Way {
	return login.Way{ConnectTo: p.Issuer.ConnectTo, CA: p.Issuer.UpstreamCA}
}

// renewed renews a login that ends soon, before anything is started with it, and reports whether
// the plan must be made again. A renewal that fails is fatal only where the token is no good.
func (a *App) renewed(ctx context.Context, p *planner.Planned) (bool, error) {
	if !p.Login {
		return false, nil
	}
	format, l, err := a.readLogin(p.Provider.Name())
	if err != nil || !l.Due(time.Now()) {
		return false, err
	}
	a.say("renewing the login of %s …", format.Name)
	if _, err := format.Renew(ctx, format.File(a.env("HOME"), a.Getenv), l.Access, way(p)); err != nil {
		if l.Expired(time.Now()) {
			return false, err
		}
		a.say("the login of %s could not be renewed yet: %v", format.Name, err)
		return false, nil
	}
	return true, nil
}

// loginRef is the reference of the login's token where the plan uses one.
func loginRef(p *planner.Planned) string {
	if !p.Login {
		return ""
	}
	return login.Prefix + p.Provider.Name()
}

// keepLogin follows the host's login while the bottle runs: the sidecar gets each new token, and
// the bottle the facts of it.
func (a *App) keepLogin(p *planner.Planned, started *login.Login) func(context.Context, bottle.Inside) {
	if started == nil {
		return nil
	}
	format, ok := login.For(p.Provider.Name())
	if !ok {
		return nil
	}
	return func(ctx context.Context, in bottle.Inside) {
		keeper := login.Keeper{
			Format: format, File: format.File(a.env("HOME"), a.Getenv), Way: way(p), Say: a.say,
			Changed: func(ctx context.Context, l login.Login) error {
				if err := in.Renew(ctx, loginRef(p), l.Access); err != nil {
					return fmt.Errorf("cannot give the sidecar the renewed token: %w", err)
				}
				refresher, ok := p.Provider.(provider.Refresher)
				if !ok {
					return nil
				}
				files, err := refresher.LoginFiles(l.Login)
				if err != nil {
					return err
				}
				return in.Write(ctx, files)
			},
		}
		keeper.Keep(ctx, *started)
	}
}
