package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// images are those of this home. A label tells candidates, and its name, or what was noted when it was
// built, tells that one is this home's: an image that a user makes of one of ours inherits its labels.
func (d *Driver) images(ctx context.Context, e *engine.Client) (named map[string]engine.Image, nameless []engine.Image, err error) {
	all, err := e.Images(ctx, labelRole)
	if err != nil {
		return nil, nil, err
	}
	named = make(map[string]engine.Image)
	for _, i := range all {
		tags := slices.DeleteFunc(slices.Clone(i.RepoTags), func(t string) bool { return strings.HasPrefix(t, "<none>") })
		if len(tags) == 0 && d.built(i.ID) {
			nameless = append(nameless, i)
		}
		for _, t := range tags {
			t = plainName(t)
			if repo, _, _ := strings.Cut(t, ":"); slices.Contains([]string{agentRepo, sidecarRepo, gateRepo, gateBaseRepo}, repo) && strings.HasSuffix(t, d.suffix()) {
				named[t] = i
			}
		}
	}
	return named, nameless, nil
}

// Surplus implements backend.Hoarder. While a bottle is being made nothing is surplus: what it needs may
// have no container yet.
func (d *Driver) Surplus(ctx context.Context, stays func(instance.ID) bool, all bool) ([]backend.Surplus, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	e, err := d.engine()
	if err != nil {
		return nil, unlessAbsent(err)
	}
	alone, err := d.alone()
	if err != nil || alone == nil {
		return nil, err
	}
	defer alone()
	var found []backend.Surplus
	trials, err := e.List(ctx, labelRole+"="+roleTrial, labelRoot+"="+rootTag(d.Root))
	if err != nil {
		return nil, unlessAbsent(err)
	}
	for _, c := range trials {
		found = append(found, backend.Surplus{Name: c.ID, What: "container of a trial of gVisor (" + c.State + ")"})
	}
	named, nameless, err := d.images(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("cannot look for images: %w", err)
	}
	needed := d.needed(stays, all)
	if !all {
		own, err := d.ownReference(ctx, e)
		if err != nil {
			return nil, err
		}
		needed[own] = true
		_, tag, _ := strings.Cut(own, ":")
		maps.Copy(needed, d.neededByGates(named, strings.TrimSuffix(tag, d.suffix())))
	}
	used, err := d.imagesOf(ctx, e, stays)
	if err != nil {
		return nil, err
	}
	for _, ref := range slices.Sorted(maps.Keys(named)) {
		if needed[ref] || used[named[ref].ID] {
			continue
		}
		found = append(found, backend.Surplus{Name: ref, What: describe(ref, all), Bytes: named[ref].Size})
	}
	if all {
		volumes, err := d.idleMirrors(ctx, e, stays)
		if err != nil {
			return nil, err
		}
		found = append(found, volumes...)
	}
	for _, i := range nameless {
		found = append(found, backend.Surplus{Name: i.ID, What: "image that a newer build has replaced", Bytes: i.Size})
	}
	return found, nil
}

// describe says in words what an image is that no run needs.
func describe(ref string, all bool) string {
	repo, _, _ := strings.Cut(ref, ":")
	switch {
	case all:
		return "image, made again by the next start that needs it"
	case repo == sidecarRepo:
		return "image of the sidecar, of another build of this program"
	case repo == gateRepo:
		return "image of the git gate, of another build of this program"
	case repo == gateBaseRepo:
		return "image with git that no git gate needs"
	}
	return "image of an agent that no run needs"
}

// imagesOf are what the containers of runs that stay are made of.
func (d *Driver) imagesOf(ctx context.Context, e *engine.Client, stays func(instance.ID) bool) (map[string]bool, error) {
	r, err := d.ours(ctx, e, "")
	used := make(map[string]bool)
	for _, c := range r.containers {
		if id := c.Labels[labelIdentity]; id != "" && stays(instance.ID(id)) {
			used[c.ImageID] = true
		}
	}
	return used, err
}

func unlessAbsent(err error) error {
	if absent(err) {
		return nil
	}
	return err
}

// ownReference is the sidecar's image of this build.
func (d *Driver) ownReference(ctx context.Context, e *engine.Client) (string, error) {
	program, err := d.program(ctx, e)
	if err != nil {
		return "", err
	}
	tag, err := programTag(program, hostBundle(bundles()))
	return d.reference(sidecarRepo, tag), err
}

// Discard implements backend.Hoarder. What a container uses is the engine's to refuse, and stays.
func (d *Driver) Discard(ctx context.Context, surplus []backend.Surplus) error {
	if len(surplus) == 0 {
		return nil
	}
	e, err := d.engine()
	if err != nil {
		return err
	}
	alone, err := d.alone()
	if err != nil {
		return err
	}
	if alone == nil {
		return fault.WithHint(fault.New(fault.Busy, "cannot remove what no run needs: a bottle is being made"), "run bot-bottle cleanup again")
	}
	defer alone()
	named, _, err := d.images(ctx, e)
	if err != nil {
		return fmt.Errorf("cannot look for images: %w", err)
	}
	used, err := d.imagesOf(ctx, e, func(instance.ID) bool { return true })
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range surplus {
		if used[named[s.Name].ID] { // where it has other names too, the engine would let this one go
			continue
		}
		if strings.HasPrefix(s.What, "container") {
			err = e.Remove(ctx, s.Name)
		} else if strings.HasPrefix(s.What, mirrorWord) {
			if err = e.RemoveVolume(ctx, s.Name); engine.IsStatus(err, http.StatusConflict) {
				continue
			}
		} else if err = e.RemoveImage(ctx, s.Name); engine.IsStatus(err, http.StatusConflict) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot remove %s: %w", s.Name, err))
			continue
		}
		if err := d.forgetImage(s.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
