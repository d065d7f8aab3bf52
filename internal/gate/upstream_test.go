package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

func (w *world) write(path, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// fails wants git to fail and to say why.
func (w *world) fails(dir, want string, args ...string) {
	w.t.Helper()
	if out, err := gatetest.Try(dir, args...); err == nil || !strings.Contains(out, want) {
		w.t.Errorf("git %s: %v, want %q in:\n%s", strings.Join(args, " "), err, want, out)
	}
}

func TestWithoutItsUpstreamNothingIsServed(t *testing.T) {
	w := open(t)
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	w.up.Stop()
	w.server.Close() // the connection that is kept for a while
	w.fails(dir, "cannot be brought up to date", "fetch", "origin")
	w.fails(dir, "cannot be brought up to date", "push", "origin", own)
	w.up.Start()
	gatetest.Git(t, dir, "push", "-q", "origin", own)
}

func TestAnotherHostKeyEndsEverything(t *testing.T) {
	w := open(t)
	dir := w.clone()
	w.commit(dir, "a", "a\n", "a")
	before := len(w.up.Commands())
	w.up.Rekey()
	w.server.Close()
	w.fails(dir, "is not the pinned one", "fetch", "origin")
	w.fails(dir, "is not the pinned one", "push", "origin", own)
	if n := len(w.up.Commands()) - before; n != 0 {
		t.Errorf("%d commands were run on a host that is not the pinned one", n)
	}
}

func TestWithoutAHostKeyNothingIsDialled(t *testing.T) {
	w := open(t)
	url, _ := w.serve(func(c *gitgate.Config, _ *gitgate.Deps) { c.Repos[0].HostKey = "" })
	before := len(w.up.Commands())
	w.fails("", "ssh-keyscan -p "+w.up.Port+" 127.0.0.1", "ls-remote", url+"/app/")
	dir := t.TempDir()
	gatetest.Git(t, dir, "init", "-q")
	w.commit(dir, "a", "a\n", "a")
	w.fails(dir, "ssh-keyscan", "push", url+"/app/", own)
	if n := len(w.up.Commands()) - before; n != 0 {
		t.Errorf("%d commands were run", n)
	}
}

func TestAKeyThatWasRevoked(t *testing.T) {
	w := open(t)
	dir := w.clone()
	w.up.Revoke()
	w.server.Close()
	w.fails(dir, "does not accept the key", "fetch", "origin")
	w.commit(dir, "a", "a\n", "a")
	w.fails(dir, "does not accept the key", "push", "origin", own)
}

func TestClientsAtTheSameTime(t *testing.T) {
	w := open(t)
	second, _ := w.serve()
	var all sync.WaitGroup
	for i := range 6 {
		url := []string{w.url, second}[i%2]
		all.Go(func() {
			if out, err := gatetest.Try("", "clone", "-q", url+"/app/", filepath.Join(t.TempDir(), "x")); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
}

// TestWhatOneBottlePushesIsNotReadableByAnother shares a mirror: objects of a push that was
// refused, or was not taken, are nowhere to be fetched.
func TestWhatOneBottlePushesIsNotReadableByAnother(t *testing.T) {
	w := open(t)
	second, _ := w.serve()
	dir := w.clone()
	w.commit(dir, "a", "key = '"+token()+"'\n", "private")
	w.refused(dir, "github-pat", "origin", own)
	w.hook("pre-receive", "#!/bin/sh\nexit 1\n")
	gatetest.Git(t, dir, "rm", "-q", "a")
	w.commit(dir, "b", "not taken\n", "private too")
	gatetest.Git(t, dir, "reset", "-q", "--soft", "HEAD~2")
	gatetest.Git(t, dir, "commit", "-q", "-m", "private three")
	w.refusedBy(dir, "declined", "origin", own)
	for _, oid := range []string{gatetest.Git(t, dir, "rev-parse", "HEAD"), gatetest.Git(t, dir, "rev-parse", "HEAD@{2}"), gatetest.Git(t, dir, "rev-parse", "HEAD:b")} {
		for _, url := range []string{w.url, second} {
			w.fails(t.TempDir(), "", "fetch-pack", url+"/app/", oid)
			fresh := t.TempDir()
			gatetest.Git(t, fresh, "init", "-q")
			w.fails(fresh, "not our ref", "fetch", url+"/app/", oid)
		}
	}
	if out := gatetest.Git(t, filepath.Join(w.repo.Mirror, "repo.git"), "cat-file", "--batch-all-objects", "--batch-check"); strings.Count(out, "\n") != 2 {
		t.Errorf("the mirror holds more than the upstream's three objects:\n%s", out)
	}
}

func TestWaysToFetch(t *testing.T) {
	w := open(t)
	w.commitUpstream("big", strings.Repeat("line\n", 1000), "second")
	for name, args := range map[string][]string{
		"shallow": {"--depth=1"}, "no blobs": {"--filter=blob:none"}, "no trees": {"--filter=tree:0"}, "one branch": {"--single-branch", "-b", "main"},
		"bare": {"--bare"}, "mirror": {"--mirror"},
	} {
		for _, version := range []string{"0", "1", "2"} {
			t.Run(name+" with version "+version, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "x")
				gatetest.Git(t, "", append(append(append([]string{"-c", "protocol.version=" + version}, w.insteadOf(w.url)...), "clone", "-q"), append(args, w.repo.URL, dir)...)...)
				if got := gatetest.Git(t, dir, "log", "-1", "--format=%s", "main"); got != "second" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
	dir := w.clone("--depth=1")
	w.commit(dir, "a", "from a shallow clone\n", "a")
	gatetest.Git(t, dir, "push", "-q", "origin", own)
	gatetest.Git(t, dir, "fetch", "-q", "--unshallow")
}

// commitUpstream adds a commit to main behind the gate's back.
func (w *world) commitUpstream(name, content, message string) {
	w.t.Helper()
	other := w.t.TempDir()
	gatetest.Git(w.t, "", "clone", "-q", w.up.Bare("app"), other)
	w.commit(other, name, content, message)
	gatetest.Git(w.t, other, "push", "-q", "origin", "HEAD:main")
}

// TestALargePush sends a body in chunks, which git does over a megabyte, and one in gzip.
func TestALargePush(t *testing.T) {
	w := open(t)
	dir := w.clone()
	var noise strings.Builder
	for i := range 400_000 {
		noise.WriteByte(byte('a' + (i*i*31+i*7)%26))
		if i%61 == 60 {
			noise.WriteByte('\n')
		}
	}
	for i := range 8 {
		w.commit(dir, "f"+string(rune('0'+i)), noise.String()[i*1000:], "big")
	}
	gatetest.Git(t, dir, "-c", "http.postBuffer=65536", "-c", "pack.compression=0", "push", "-q", "origin", own)
	if got := gatetest.Git(t, w.up.Bare("app"), "rev-list", "--count", "bottle/dev-abc12/work"); got != "9" {
		t.Errorf("%s commits arrived", got)
	}
}
