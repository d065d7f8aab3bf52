// Package inbox reaches the questions of every bottle of a home: from a living sidecar where there
// is one, else from what it left.
//
// Its one rule: a sidecar alone writes what is decided; here it is only asked to.
package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// patience is how long a sidecar may take to answer what needs no person.
const patience = 5 * time.Second

// Box is the questions of all bottles of a home.
type Box struct{ Home *store.Home }

// Connect speaks to the living sidecar of a bottle; without one it is fault.Unavailable. The
// caller closes the client.
func (b Box) Connect(ctx context.Context, id instance.ID) (*control.Client, error) {
	dir, name := b.Home.Run(id).StatusSocket()
	conn, err := dialIn(ctx, dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault.New(fault.Unavailable, "%q has no sidecar that runs", id)
	case err != nil:
		return nil, fault.New(fault.Unavailable, "cannot reach the sidecar of %q: %w", id, err)
	}
	return control.NewClient(conn), nil
}

// All returns the proposals of every bottle, open ones first and in the order of their age. What
// could not be read is in the error, beside what could.
func (b Box) All(ctx context.Context) ([]ask.Proposal, error) {
	ids, err := b.Home.Runs()
	if err != nil {
		return nil, err
	}
	var all []ask.Proposal
	var errs []error
	for _, id := range ids {
		of, err := b.Of(ctx, id)
		all = append(all, of...)
		errs = append(errs, err)
	}
	slices.SortStableFunc(all, func(x, y ask.Proposal) int {
		switch {
		case x.State.Open() != y.State.Open() && x.State.Open():
			return -1
		case x.State.Open() != y.State.Open():
			return 1
		}
		return cmp.Or(x.AskedAt.Compare(y.AskedAt), cmp.Compare(x.ID, y.ID))
	})
	return all, errors.Join(errs...)
}

// Of returns the proposals of one bottle.
func (b Box) Of(ctx context.Context, id instance.ID) ([]ask.Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.Connect(ctx, id)
	if err == nil {
		defer func() { _ = client.Close() }()
		if now, err := client.Proposals(ctx, 0); err == nil {
			return now.Proposals, nil
		}
	}
	return desk.Read(b.Home.Run(id).Paths().Proposals, id)
}

// Find returns one proposal, whole, as it is now.
func (b Box) Find(ctx context.Context, id string) (ask.Proposal, error) {
	of, err := bottleOf(id)
	if err != nil {
		return ask.Proposal{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.Connect(ctx, of)
	if err == nil {
		defer func() { _ = client.Close() }()
		if p, err := client.Proposal(ctx, id); !fault.Is(err, fault.Unavailable) {
			return p, err
		}
	}
	left, err := desk.Read(b.Home.Run(of).Paths().Proposals, of)
	if err != nil {
		return ask.Proposal{}, err
	}
	for _, p := range left {
		if p.ID == id {
			return p, nil
		}
	}
	return ask.Proposal{}, noSuch(id)
}

// Decide asks the sidecar of the bottle to apply a decision. Only a bottle that runs has anything
// to decide.
func (b Box) Decide(ctx context.Context, d ask.Decision) (ask.Proposal, error) {
	of, err := bottleOf(d.ID)
	if err != nil {
		return ask.Proposal{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.Connect(ctx, of)
	if err != nil {
		return ask.Proposal{}, fault.WithHint(fmt.Errorf("cannot decide %s: %w", d.ID, err), "what is open waits for bot-bottle resume %s", of)
	}
	defer func() { _ = client.Close() }()
	return client.Decide(ctx, d)
}

// Filed notes that an approval for always is in the bottle's file. Without a living sidecar there
// is nothing to note it in; the file says it itself.
func (b Box) Filed(ctx context.Context, id string) error {
	of, err := bottleOf(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.Connect(ctx, of)
	if err != nil {
		return nil // said above
	}
	defer func() { _ = client.Close() }()
	return client.Filed(ctx, id)
}

// bottleOf is the identity in a proposal's ID.
func bottleOf(id string) (instance.ID, error) {
	name, _, ok := strings.Cut(id, "/")
	of, err := instance.Parse(name)
	if !ok || err != nil {
		return "", noSuch(id)
	}
	return of, nil
}

func noSuch(id string) error {
	return fault.WithHint(fault.New(fault.NotFound, "there is no proposal %q", id), "bot-bottle proposals list shows what there is")
}
