package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Filing is the change of a bottle's file that an approval for always makes. A nil Edit means that
// the file says it already.
type Filing struct{ Edit *manifest.Edit }

// Filing prepares the change for a candidate, so that it can be shown before it is made.
func (b Box) Filing(lib *manifest.Library, p ask.Proposal, candidate json.RawMessage) (*Filing, error) {
	if p.Kind != ask.Route {
		return nil, fault.New(fault.Unsupported, "cannot put %s into a bottle's file: only routes stand in there", p.ID)
	}
	route, err := routeOf(candidate)
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot put %s into a bottle's file: %w", p.ID, err)
	}
	of, err := bottleOf(p.ID)
	if err != nil {
		return nil, err
	}
	record, err := b.Home.Run(of).ReadRecord()
	if err != nil {
		return nil, err
	}
	bottles := record.Bottles
	if len(bottles) == 0 {
		agent, err := lib.Agent(record.AgentName)
		if err != nil {
			return nil, err
		}
		bottles = []string{agent.Bottle}
	}
	effective, err := lib.Bottle(bottles...)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(effective.Egress.Routes, func(r manifest.Route) bool { return covers(r.Route, route) }) {
		return &Filing{}, nil
	}
	edit, err := lib.AddRoute(bottles, route)
	return &Filing{Edit: edit}, err
}

// covers reports whether a route of a file holds another one already.
func covers(have, want policy.Route) bool {
	for _, m := range want.Matches {
		if !slices.ContainsFunc(have.Matches, func(h policy.Match) bool { return h.Flow() == m.Flow() }) {
			return false
		}
	}
	if len(want.Matches) == 0 && len(have.Matches) > 0 {
		return false
	}
	have.Matches, want.Matches = nil, nil
	return have.Flow() == want.Flow()
}

func routeOf(candidate json.RawMessage) (policy.Route, error) {
	var route policy.Route
	dec := json.NewDecoder(bytes.NewReader(candidate))
	dec.DisallowUnknownFields()
	err := dec.Decode(&route)
	return route, err
}

// Text is the change as a person reads it.
func (f *Filing) Text() string {
	if f.Edit == nil {
		return "the bottle's file says so already"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.Edit.File)
	for _, line := range f.Edit.Added {
		fmt.Fprintf(&b, "  + %s\n", Safe(line, 1<<10))
	}
	if len(f.Edit.Others) > 0 {
		fmt.Fprintf(&b, "  careful: these bottles extend %s and get it too: %s\n", f.Edit.Bottle, strings.Join(f.Edit.Others, ", "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// File makes the change and notes it. A file that was changed since Filing is left alone. Doing it
// again changes nothing.
func (b Box) File(ctx context.Context, p ask.Proposal, f *Filing) error {
	if f.Edit != nil {
		if err := write(f.Edit); err != nil {
			return fault.WithHint(err, "%s is approved for this run; write it down with bot-bottle proposals approve %s --scope always", p.ID, p.ID)
		}
	}
	return b.Filed(ctx, p.ID)
}

// write replaces the file whole or not at all.
func write(e *manifest.Edit) error {
	now, err := os.ReadFile(e.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Internal, "cannot change %s: %w", e.File, err)
	}
	if string(now) != e.Before {
		return fault.New(fault.Busy, "cannot change %s: it was changed meanwhile", e.File)
	}
	dir := filepath.Dir(e.File)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New(fault.Internal, "cannot change %s: %w", e.File, err)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Lstat(e.File); err == nil {
		if !info.Mode().IsRegular() {
			return fault.WithHint(fault.New(fault.Unsupported, "cannot change %s: it is no plain file, and nothing outside %s is changed", e.File, dir),
				"add it where it leads to, under egress.routes")
		}
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fault.New(fault.Internal, "cannot change %s: %w", e.File, err)
	}
	_, err = tmp.WriteString(e.After)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), e.File)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the cause is what the caller must know
		return fault.New(fault.Internal, "cannot change %s: %w", e.File, err)
	}
	return nil
}
