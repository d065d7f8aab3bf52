package docker_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// household is a home with its own driver.
type household struct {
	t    *testing.T
	root string
	d    *docker.Driver
	runs map[instance.ID]bool // what stays
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{t: t, root: t.TempDir(), runs: map[instance.ID]bool{}}
	h.d = docker.New(docker.Config{Program: os.Executable, Root: h.root, Cache: filepath.Join(h.root, "cache"), Getenv: getenv(t)})
	t.Cleanup(func() {
		h.runs = nil
		must(t, h.d.Discard(limited(t), h.surplus(true)))
		if left := h.surplus(true); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	return h
}

// lives and dies: a run that is made of a Dockerfile's text, whose state stays where kept is set.
func (h *household) livesAndDies(dockerfile string, kept bool) instance.ID {
	h.t.Helper()
	p := backendtest.Plan(h.root)
	p.Image.Dockerfile = dockerfile
	b, err := h.d.Prepare(limited(h.t), p)
	must(h.t, err)
	must(h.t, h.d.Teardown(limited(h.t), b))
	h.runs[p.ID] = kept
	return p.ID
}

func (h *household) surplus(all bool) []backend.Surplus {
	h.t.Helper()
	found, err := h.d.Surplus(limited(h.t), func(id instance.ID) bool { return h.runs[id] }, all)
	must(h.t, err)
	return found
}

// has tells which images with a label of ours have a name with this text in it.
func has(t *testing.T, text string) (names []string) {
	t.Helper()
	all, err := shared.engine.Client.Images(limited(t), "bot-bottle.role")
	must(t, err)
	for _, i := range all {
		names = append(names, slices.DeleteFunc(i.RepoTags, func(tag string) bool { return !strings.Contains(tag, text) })...)
	}
	return names
}

func names(all []backend.Surplus) (out []string) {
	for _, s := range all {
		out = append(out, s.Name)
	}
	return out
}

// TestAnImageGoesWithTheLastRunThatNeedsIt, and never one of another home or of the user's own making.
func TestAnImageGoesWithTheLastRunThatNeedsIt(t *testing.T) {
	h, other := newHousehold(t), newHousehold(t)
	const first, second = "FROM " + enginetest.Image + "\nLABEL of=first\n", "FROM " + enginetest.Image + "\nLABEL of=second\n"
	one := h.livesAndDies(first, true)
	if found := h.surplus(false); len(found) > 0 {
		t.Errorf("of what a run is made of: %v", found)
	}
	other.livesAndDies(first, true)
	h.livesAndDies(second, false)
	if found := h.surplus(false); len(found) > 0 {
		t.Errorf("with a kept run: %v", found)
	}
	h.runs[one] = false
	found := h.surplus(false)
	if len(found) != 1 || found[0].Bytes < 1e6 || !strings.HasPrefix(found[0].Name, "bot-bottle-agent:") || !strings.Contains(found[0].What, "no run needs") {
		t.Fatalf("without it: %+v", found)
	}
	_, content, _ := strings.Cut(found[0].Name, ":")
	content, _, _ = strings.Cut(content, "-")
	if same := has(t, content); len(same) != 2 {
		t.Fatalf("both homes have %v", same)
	}
	must(t, shared.engine.Client.Tag(limited(t), found[0].Name, "mine", content+"x"))
	defer func() { must(t, shared.engine.Client.RemoveImage(limited(t), "mine:"+content+"x")) }()
	must(t, h.d.Discard(limited(t), found))
	if left := has(t, content); len(left) != 2 || slices.Contains(left, found[0].Name) {
		t.Errorf("left: %v", left)
	}
	if again := h.surplus(false); len(again) > 0 {
		t.Errorf("again: %v", again)
	}
	if all := names(h.surplus(true)); len(all) != 2 {
		t.Errorf("what the next start would make again: %v", all)
	}
}

// TestAnImageInUseStays, whatever was listed before.
func TestAnImageInUseStays(t *testing.T) {
	h := newHousehold(t)
	p := backendtest.Plan(h.root)
	p.Image.Dockerfile = "FROM " + enginetest.Image + "\nLABEL of=use\n"
	b, err := h.d.Prepare(limited(t), p)
	must(t, err)
	defer func() { must(t, h.d.Teardown(limited(t), b)) }()
	h.runs[p.ID] = true
	if found := h.surplus(true); len(found) > 0 {
		t.Errorf("of a running bottle: %v", found)
	}
	h.runs[p.ID] = false
	listed := h.surplus(true)
	if len(listed) != 2 {
		t.Fatalf("%v", listed)
	}
	must(t, h.d.Discard(limited(t), listed))
	for _, s := range listed {
		if got := has(t, s.Name); len(got) != 1 {
			t.Errorf("%s went below a running bottle", s.Name)
		}
	}
}

// TestWhatIsLeftOfATrialAndOfAnotherBuild is found, and nothing while a bottle is being made.
func TestWhatIsLeftOfATrialAndOfAnotherBuild(t *testing.T) {
	h, other := newHousehold(t), newHousehold(t)
	h.livesAndDies("", false)
	other.livesAndDies("", false)
	own := h.surplus(true)
	if len(own) != 1 || !strings.HasPrefix(own[0].Name, "bot-bottle-sidecar:") {
		t.Fatalf("%v", own)
	}
	root := own[0].Name[strings.LastIndexByte(own[0].Name, '-')+1:]
	must(t, shared.engine.Client.Tag(limited(t), own[0].Name, "bot-bottle-sidecar", "0123456789abcdef-"+root))
	var made struct{ ID string }
	must(t, shared.engine.Call(limited(t), http.MethodPost, "/containers/create", map[string]any{
		"Image": own[0].Name, "Labels": map[string]string{"bot-bottle.role": "trial", "bot-bottle.root": root},
	}, &made))
	if found := other.surplus(false); len(found) > 0 {
		t.Errorf("the other home has %v", found)
	}
	found := h.surplus(false)
	if got := names(found); !slices.Equal(got, []string{made.ID, "bot-bottle-sidecar:0123456789abcdef-" + root}) {
		t.Errorf("found %v", got)
	}

	release, err := docker.Making(h.d)
	must(t, err)
	if busy := h.surplus(true); len(busy) > 0 {
		t.Errorf("while a bottle is made: %v", busy)
	}
	if err := h.d.Discard(limited(t), found); !fault.Is(err, fault.Busy) {
		t.Errorf("while a bottle is made: %v", err)
	}
	release()
	must(t, h.d.Discard(limited(t), found))
	if again := h.surplus(false); len(again) > 0 {
		t.Errorf("again: %v", again)
	}
}

// TestABuildThatIsReplaced leaves an image without a name.
func TestABuildThatIsReplaced(t *testing.T) {
	h := newHousehold(t)
	dir := t.TempDir()
	build := func(content string) {
		must(t, os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o600))
		p := backendtest.Plan(h.root)
		p.Image.Dockerfile, p.Image.Context = "FROM "+enginetest.Image+"\nCOPY file /file\n", dir
		b, err := h.d.Prepare(limited(t), p)
		must(t, err)
		must(t, h.d.Teardown(limited(t), b))
	}
	build("one")
	if found := h.surplus(false); len(found) > 0 {
		t.Errorf("after the first: %v", found)
	}
	build("two")
	found := h.surplus(false)
	if len(found) != 1 || !strings.HasPrefix(found[0].Name, "sha256:") || !strings.Contains(found[0].What, "replaced") {
		t.Fatalf("after the second: %v", found)
	}
	must(t, h.d.Discard(limited(t), found))
	if again := h.surplus(false); len(again) > 0 {
		t.Errorf("again: %v", again)
	}
}
