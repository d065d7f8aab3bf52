// Package pull brings what an agent did in its copy of a repository back into a repository of the
// host.
//
// Its one rule: of what the agent could write, git reads nothing but objects that were copied and
// checked; no configuration, hook, filter, attribute program or pointer of the agent's is ever in
// force.
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// Branch is one branch of the agent's, as it lies in the quarantine.
type Branch struct {
	Name string `json:"name"` // on the host: bottle/<identity>/…
	Tip  string `json:"tip"`  // an object id in hexadecimal
	// Base is the newest commit that the host's repository has of it, "" where they share none.
	Base    string   `json:"base,omitempty"`
	Commits []Commit `json:"commits"` // those the host does not have, newest first, at most MaxListed
	More    int      `json:"more,omitempty"`
	// Later are files it changes that something on the host may run without being asked.
	Later []Later `json:"later"`
	// Worktree says that the tip is what was not committed.
	Worktree bool `json:"worktree,omitempty"`
}

// Commit is one line of a log. Its words are the agent's.
type Commit struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Author  string `json:"author"`
}

// MaxListed bounds the commits that a Branch lists.
const MaxListed = 50

// Work is what an agent has that a repository of the host does not have, in a quarantine of its
// own. Close removes it.
type Work struct {
	Branches []Branch `json:"branches"`
	// Left says what was not taken, in words.
	Left []string `json:"left"`

	git  *runner // in the quarantine
	host *runner // in the host's repository
	dir  string
}

// Take copies the work of a run's workspace into a quarantine below scratch and checks it. The
// repository is the one that holds dir. The agent may be writing meanwhile; then what was there
// when Take began is taken, or Take fails.
func Take(ctx context.Context, id instance.ID, workspace, dir, scratch string) (work *Work, err error) {
	host, err := repository(ctx, dir)
	if err != nil {
		return nil, err
	}
	source, err := open(workspace)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	w := &Work{host: host, Left: source.left()}
	if w.dir, err = os.MkdirTemp(scratch, "pull-"); err != nil {
		return nil, fmt.Errorf("cannot make a quarantine: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	refs, err := source.refs()
	if err != nil {
		return nil, err
	}
	w.Left = source.left()
	if w.git, err = quarantine(ctx, w.dir, host, source.format(refs)); err != nil {
		return nil, err
	}
	if err := source.objects(filepath.Join(w.dir, "objects"), host.objects); err != nil {
		return nil, err
	}
	if err := w.indexPacks(ctx); err != nil {
		return nil, err
	}
	if err := w.admit(ctx, refs); err != nil {
		return nil, err
	}
	if err := w.snapshot(ctx, source, refs); err != nil {
		return nil, err
	}
	if err := w.describe(ctx, id, refs); err != nil {
		return nil, err
	}
	return w, nil
}

// admit makes the refs in the quarantine; git checks their names and that their objects are there.
func (w *Work) admit(ctx context.Context, refs refs) error {
	if len(refs.branches) == 0 {
		return nil
	}
	var in strings.Builder
	for _, b := range refs.branches {
		fmt.Fprintf(&in, "create refs/heads/%s %s\n", b.name, b.id)
	}
	if _, err := w.git.feed(ctx, in.String(), "update-ref", "--stdin"); err != nil {
		return fault.WithHint(fault.New(fault.Denied, "cannot take the agent's branches: %w", err),
			"if the agent is at work just now, try again")
	}
	return nil
}

// Empty reports whether there is nothing that the host does not have.
func (w *Work) Empty() bool {
	return !slices.ContainsFunc(w.Branches, func(b Branch) bool { return len(b.Commits) > 0 })
}

// Fetch makes the branches in the host's repository. One of that name from an earlier pull is
// replaced; no working tree is touched and no hook runs.
func (w *Work) Fetch(ctx context.Context) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--atomic", w.dir}
	for _, b := range w.Branches {
		if len(b.Commits) > 0 {
			args = append(args, "+"+b.Tip+":refs/heads/"+b.Name)
		}
	}
	if _, err := w.host.run(ctx, args...); err != nil {
		return fault.WithHint(fault.New(fault.Unavailable, "cannot bring the branches in: %w", err),
			"a branch that is checked out is not replaced: switch to another one first")
	}
	return nil
}

// Diff writes what a branch changes since its base, as a patch. All of it is the agent's.
func (w *Work) Diff(ctx context.Context, b Branch, stat bool, to io.Writer) error {
	base := b.Base
	if base == "" {
		base = w.git.emptyTree
	}
	args := []string{"diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short"}
	if stat {
		args = append(args, "--stat=80")
	}
	if err := w.git.pipe(w.git.command(ctx, append(args, base, b.Tip, "--")...), nil, to); err != nil {
		return fmt.Errorf("cannot compare %s: %w", b.Name, err)
	}
	return nil
}

// Close removes the quarantine.
func (w *Work) Close() error { return os.RemoveAll(w.dir) }
