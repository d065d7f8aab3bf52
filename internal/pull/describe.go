package pull

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// describe says of each branch what the host does not have of it. Walking there also proves that
// every object on the way is there.
func (w *Work) describe(ctx context.Context, id instance.ID, r refs) error {
	tips, head, err := w.hostTips(ctx)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, b := range r.branches {
		name := fmt.Sprintf("bottle/%s/%s", id, strings.TrimPrefix(b.name, fmt.Sprintf("bottle/%s/", id)))
		for taken[name] { // one branch has the name that another one gets
			name += "-other"
		}
		taken[name] = true
		if err := w.branch(ctx, Branch{Name: name, Tip: b.id}, tips, head); err != nil {
			return err
		}
	}
	out, err := w.git.run(ctx, "for-each-ref", "--format=%(objectname)", uncommitted)
	tip := strings.TrimSpace(string(out))
	if err != nil || tip == "" {
		return err
	}
	name := fmt.Sprintf("bottle/%s/uncommitted", id)
	clashes := func(other string) bool { return other == name || strings.HasPrefix(other, name+"/") }
	for slices.ContainsFunc(slices.Collect(maps.Keys(taken)), clashes) {
		name += "-work"
	}
	return w.branch(ctx, Branch{Name: name, Tip: tip, Worktree: true}, tips, head)
}

// hostTips are all that the host's refs lead to, as arguments that leave it out, and its HEAD.
func (w *Work) hostTips(ctx context.Context) (without, head string, err error) {
	out, err := w.host.run(ctx, "for-each-ref", "--format=%(objectname)")
	if err != nil {
		return "", "", fmt.Errorf("cannot read the host's branches: %w", err)
	}
	ids := strings.Fields(string(out))
	if out, err = w.host.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err == nil {
		head = strings.TrimSpace(string(out))
		ids = append(ids, head)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		without += "^" + id + "\n"
	}
	return without, head, nil
}

func (w *Work) branch(ctx context.Context, b Branch, without, head string) error {
	only := b.Tip + "\n" + without
	if _, err := w.git.feed(ctx, only, "rev-list", "--objects", "--quiet", "--stdin"); err != nil {
		return fault.WithHint(fault.New(fault.Denied, "cannot take %s: it is not whole: %w", b.Name, err), "if the agent is at work just now, try again")
	}
	out, err := w.git.feed(ctx, only, "rev-list", "--count", "--stdin")
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", b.Name, err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || count == 0 {
		return err
	}
	out, err = w.git.feed(ctx, only, "log", "-z", "--no-mailmap", "--format=%H%x01%s%x01%an", "--max-count="+strconv.Itoa(MaxListed), "--stdin")
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", b.Name, err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if parts := strings.SplitN(line, "\x01", 3); len(parts) == 3 {
			b.Commits = append(b.Commits, Commit{ID: parts[0], Subject: parts[1], Author: parts[2]})
		}
	}
	b.More = count - len(b.Commits)
	if head != "" {
		if out, err = w.git.run(ctx, "merge-base", head, b.Tip); err == nil {
			b.Base = strings.TrimSpace(string(out))
		}
	}
	if b.Later, err = w.later(ctx, b); err != nil {
		return err
	}
	w.Branches = append(w.Branches, b)
	return nil
}
