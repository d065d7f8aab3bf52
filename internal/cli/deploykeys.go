package cli

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/forge"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// revokeLimit bounds how long the end of a run waits for its forges.
const revokeLimit = 30 * time.Second

// deployKey is a key that was made for a run, and what revokes it.
type deployKey struct {
	forge.Key
	TokenRef string `json:"token_ref"`
}

// deploy makes the keys that a plan's repositories ask for, by the repository's name. It needs the
// run's lock. Each is noted by its title before it is made, and by what the forge calls it after.
func (a *App) deploy(ctx context.Context, home *store.Home, id instance.ID, repos []plan.GitRepo) (map[string]secret.String, error) {
	keys := map[string]secret.String{}
	made, err := a.strays(ctx, home, id, repos)
	if err != nil {
		return nil, err
	}
	for _, r := range repos {
		if r.Forge == nil {
			continue
		}
		client, err := a.forgeClient(ctx, home, r.Forge.TokenRef)
		if err != nil {
			return nil, err
		}
		a.say("making a deploy key for %s/%s at %s", r.Forge.Owner, r.Forge.Name, r.Forge.API)
		repo, title := deployed(id, r)
		made = slices.DeleteFunc(made, func(k deployKey) bool { return k.Repo == repo && k.Title == title })
		made = append(made, deployKey{forge.Key{Repo: repo, Title: title}, r.Forge.TokenRef})
		if err := home.NoteDeployKeys(id, made, len(made)); err != nil {
			return nil, err
		}
		key, private, err := client.Add(ctx, repo, title)
		if err != nil {
			return nil, err
		}
		made[len(made)-1].Key = key
		if err := home.NoteDeployKeys(id, made, len(made)); err != nil {
			return nil, errors.Join(err, client.Revoke(context.WithoutCancel(ctx), key))
		}
		keys[r.Name] = private
	}
	return keys, nil
}

// deployed is the repository at its forge, and what a run's key for it is called there.
func deployed(id instance.ID, r plan.GitRepo) (forge.Repo, string) {
	return forge.Repo{API: r.Forge.API, Owner: r.Forge.Owner, Name: r.Forge.Name}, "bot-bottle " + string(id) + "/" + r.Name
}

// strays are the keys that an earlier life of the run could not revoke. Those of repositories that
// the bottle has no more are tried again now, since nothing made anew takes their place. The others
// stay noted until that is so: a start may fail before their turn comes.
func (a *App) strays(ctx context.Context, home *store.Home, id instance.ID, repos []plan.GitRepo) ([]deployKey, error) {
	var noted, left []deployKey
	if found, err := home.DeployKeys(id, &noted); err != nil || !found {
		return nil, err
	}
	for _, k := range noted {
		remade := slices.ContainsFunc(repos, func(r plan.GitRepo) bool {
			if r.Forge == nil {
				return false
			}
			repo, title := deployed(id, r)
			return repo == k.Repo && title == k.Title
		})
		if remade { // a key of the same title is revoked before the new one is made
			left = append(left, k)
			continue
		}
		client, err := a.forgeClient(ctx, home, k.TokenRef)
		if err == nil {
			err = client.Revoke(ctx, k.Key)
		}
		if err != nil {
			a.say("a deploy key of an earlier start is still there, and will be tried again at the end: %v", err)
			left = append(left, k)
			continue
		}
		a.say("revoked the deploy key %q of %s/%s", k.Title, k.Owner, k.Name)
	}
	return left, nil
}

// revoke takes the noted keys of a run off their forges. What could not be revoked stays noted.
func (a *App) revoke(ctx context.Context, home *store.Home, id instance.ID) error {
	var keys, left []deployKey
	if found, err := home.DeployKeys(id, &keys); err != nil || !found {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeLimit)
	defer cancel()
	var errs []error
	for _, k := range keys {
		client, err := a.forgeClient(ctx, home, k.TokenRef)
		if err == nil {
			err = client.Revoke(ctx, k.Key)
		}
		if err != nil {
			errs, left = append(errs, err), append(left, k)
			continue
		}
		a.say("revoked the deploy key %q of %s/%s", k.Title, k.Owner, k.Name)
	}
	return errors.Join(append(errs, home.NoteDeployKeys(id, left, len(left)))...)
}

// revokeLeft does so for every run that does not run any more.
func (a *App) revokeLeft(ctx context.Context, home *store.Home) error {
	ids, err := home.WithDeployKeys()
	errs := []error{err}
	for _, id := range ids {
		if !home.Run(id).Running() {
			errs = append(errs, a.revoke(ctx, home, id))
		}
	}
	return errors.Join(errs...)
}

func (a *App) forgeClient(ctx context.Context, home *store.Home, ref string) (forge.Client, error) {
	token, err := secret.Resolve(ctx, absolute(ref, home), a.Getenv)
	return forge.Client{HTTP: http.DefaultClient, Token: token}, err
}
