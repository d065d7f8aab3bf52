package gate_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestRefsThatMayNotBePushed(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"main", "feature/*"}}))
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	gatetest.Git(t, dir, "notes", "add", "-m", "a note")
	gatetest.Git(t, dir, "tag", "v1")
	for _, ref := range []string{
		"HEAD:refs/heads/elsewhere", "HEAD:refs/heads/bottle/other-zzzzz/work", "refs/tags/v1", "refs/notes/commits",
		"HEAD:refs/heads/feature", "HEAD:refs/heads/features/x", "HEAD:refs/for/main", "HEAD:refs/meta/config", "HEAD:refs/pull/1/head", "HEAD:refs/heads/main2",
	} {
		w.refused(dir, "no ref that this bottle may push", "origin", ref)
	}
	for _, ref := range []string{"HEAD:refs/heads/feature/ma\u0456n", "HEAD:refs/heads/feature/x\u200b", "HEAD:refs/heads/feature/a'b", "HEAD:refs/heads/feature/;id"} {
		w.refused(dir, "a character in its name", "origin", ref)
	}
	w.refused(dir, "refs/replace is never pushed", "origin", "HEAD:refs/replace/"+gatetest.Git(t, dir, "rev-parse", "HEAD"))
	// One ref that may not be holds back those that may.
	w.refused(dir, "no ref that this bottle may push", "origin", "HEAD:main", "HEAD:elsewhere")
	gatetest.Git(t, dir, "push", "-q", "origin", "HEAD:main", "HEAD:feature/x/y", own)
}

func TestForceAndDeleteAreOffUnlessDeclared(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"main", "refs/tags/*"}}))
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	gatetest.Git(t, dir, "tag", "v1")
	gatetest.Git(t, dir, "push", "-q", "origin", "HEAD:main", "v1", own)
	gatetest.Git(t, dir, "commit", "-q", "--amend", "-m", "b")
	w.refused(dir, "would be a forced push", "--force", "origin", "HEAD:main")
	w.refused(dir, "would be a forced push", "--force", "origin", own)
	w.refused(dir, "would be a forced push", "--force", "origin", "HEAD:refs/tags/v1")
	w.refused(dir, "deleting is not allowed", "origin", ":main")
	w.refused(dir, "deleting is not allowed", "origin", ":refs/tags/v1")

	url, _ := w.serve(pushes(plan.GitPush{Refs: []string{"main", "refs/tags/*"}, Force: true, Delete: true}))
	w.through(dir, url)
	gatetest.Git(t, dir, "push", "-q", "--force", "origin", "HEAD:main")
	gatetest.Git(t, dir, "push", "-q", "origin", ":refs/tags/v1")
	if got := gatetest.Git(t, w.up.Bare("app"), "for-each-ref", "--format=%(refname) %(subject)"); got != "refs/heads/bottle/dev-abc12/work a\nrefs/heads/main b" {
		t.Errorf("the upstream has %q", got)
	}
}

// through turns a working copy to another gate.
func (w *world) through(dir, url string) {
	w.t.Helper()
	_, _ = gatetest.Try(dir, "config", "--remove-section", "url."+w.url+"/app/")
	w.url = url
	gatetest.Git(w.t, dir, "config", "url."+url+"/app/.insteadOf", strings.TrimSuffix(w.repo.URL, ".git"))
}

// TestAPushFromAnOlderState forces with a lease that the client makes up: the state that it names
// is compared with the upstream's.
func TestAPushFromAnOlderState(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"main"}, Force: true}))
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	other := t.TempDir()
	gatetest.Git(t, "", "clone", "-q", w.up.Bare("app"), other)
	w.commit(other, "b", "b\n", "b")
	gatetest.Git(t, other, "push", "-q", "origin", "main")
	w.refusedBy(dir, "stale info", "--force-with-lease", "origin", "HEAD:main")
	made := gatetest.Git(t, dir, "rev-parse", "HEAD~1")
	if said := w.command(strings.Repeat("0", 40), made, "refs/heads/main", pack()); !strings.Contains(said, "is another there by now") {
		t.Errorf("a state that the client made up: %q", said)
	}
	if w.up.Pushes() != 0 {
		t.Error("it reached the upstream")
	}
	gatetest.Git(t, dir, "push", "-q", "--force", "origin", "HEAD:main") // declared, and knowing what is there
}

func TestTheUpstreamDecidesLast(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"main", "feature/*"}}))
	hook := "#!/bin/sh\nwhile read old new ref; do echo \"looking at $ref\"; case $ref in refs/heads/main) echo 'main is protected'; exit 1;; esac; done\n"
	w.hook("pre-receive", hook)
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	out, err := gatetest.Try(dir, "push", "origin", "HEAD:main")
	if err == nil || !strings.Contains(out, "remote: main is protected") || !strings.Contains(out, "pre-receive hook declined") {
		t.Errorf("%v: %s", err, out)
	}
	w.nothingLeft()
	if out := gatetest.Git(t, dir, "push", "origin", "HEAD:feature/x"); !strings.Contains(out, "remote: looking at refs/heads/feature/x") {
		t.Errorf("the upstream's words are lost: %s", out)
	}
	// Of two refs, one of which the upstream does not take, the other goes through and both are told.
	w.hook("pre-receive", "#!/bin/sh\nexit 0\n")
	w.hook("update", "#!/bin/sh\ntest \"$1\" != refs/heads/main\n")
	w.commit(dir, "b", "b\n", "b")
	out, err = gatetest.Try(dir, "push", "origin", "HEAD:main", "HEAD:feature/y")
	if err == nil || !strings.Contains(out, "HEAD -> main (hook declined)") || !strings.Contains(out, "[new branch]      HEAD -> feature/y") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = gatetest.Try(dir, "push", "--atomic", "origin", "HEAD:main", "HEAD:feature/z")
	if err == nil || strings.Contains(out, "[new branch]") {
		t.Errorf("an atomic push is not: %v: %s", err, out)
	}
}

// hook puts a hook into the upstream's repository.
func (w *world) hook(name, script string) {
	w.t.Helper()
	w.write(w.up.Bare("app")+"/hooks/"+name, script, 0o700)
}
