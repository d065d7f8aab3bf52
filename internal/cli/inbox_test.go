package cli_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// A person's keys in the inbox, at 80 columns and 24 lines, with what they see after each.
func TestAPersonAtTheInbox(t *testing.T) {
	s := newStand(t, "dev-abc12")
	x := s.inbox("inbox")
	x.captured("nothing-waits", "nothing waits for you", "1 running")

	first := s.asks("registry.example.org", "I need \x1b[2Jleft-pad.\nPlease hurry,\u202e the build waits.")
	s.asks("xn--pple-43d.example", "It is \u0430pple.example, quite harmless. "+strings.Repeat("Trust me. ", 500))
	third := s.asks("docs.example.org", "")
	fourth := s.asks("mirror.example.org", "for the packages")
	x.captured("questions", "4 open")

	x.keys("r")
	x.captured("approve-for-the-run", "y approve for this run")
	x.keys("n")
	x.shows("nothing was decided")
	if p := s.proposal(first.ID); !p.State.Open() {
		t.Fatalf("a no decided: %+v", p)
	}
	x.keys("r")
	x.shows("y approve")
	x.keys("y")
	x.captured("approved", "dev-abc12/1: approved, for this run", "3 open")
	if p := s.proposal(first.ID); p.State != ask.Granted || p.Answer.Scope != ask.Run || s.applied != 1 {
		t.Errorf("%+v, applied %d times", p, s.applied)
	}

	x.keys("Enter")
	x.captured("look-alike", "xn--pple-43d.example", "The agent says")
	x.keys("Enter", "x")
	x.shows("reason:")
	x.types("not that host, q is no key here")
	x.captured("reject", "q is no key here")
	x.keys("Enter")
	x.shows("dev-abc12/2: rejected")
	if p := s.proposal("dev-abc12/2"); p.State != ask.Refused || p.Answer.Reason != "not that host, q is no key here" {
		t.Errorf("%+v", p)
	}

	x.keys("A")
	x.captured("approve-for-always", "y approve for always", "docs.example.org", "dev.md changes")
	x.keys("y")
	x.shows("written into")
	file, err := os.ReadFile(filepath.Join(s.home.Bottles(), "dev.md"))
	if err != nil || !strings.Contains(string(file), "docs.example.org") || !strings.Contains(string(file), "# ours") {
		t.Errorf("the bottle's file is %s, %v", file, err)
	}
	if p := s.proposal(third.ID); p.State != ask.Granted || !p.Filed {
		t.Errorf("%+v", p)
	}

	editor := "#!/bin/sh\nsed -i 's/\"HEAD\"/\"POST\"/' \"$1\"\n"
	if err := os.WriteFile(filepath.Join(s.dir, "editor"), []byte(editor), 0o700); err != nil {
		t.Fatal(err)
	}
	x.keys("e")
	x.captured("edited", "As you edited it", "y approve once")
	x.keys("r")
	x.shows("y approve for this run")
	x.keys("y")
	x.shows("dev-abc12/4: approved, for this run")
	if p := s.proposal(fourth.ID); p.State != ask.Modified || !strings.Contains(string(p.Answer.Candidate), `"POST"`) {
		t.Errorf("%+v", p)
	}

	x.keys("t")
	x.captured("traffic", "traffic of dev-abc12", "evil.example")
	x.keys("Tab")
	x.captured("bottles", "REFUSED")
	x.keys("Tab", "t", "/")
	x.types("docs")
	x.captured("filter", "only docs")
	x.keys("Escape")
	x.shows("!only", "registry") // a key right after an escape would be one with it
	x.keys("?")
	x.captured("help", "any key goes back")
	x.keys("q", "h")
	x.captured("decided-ones-hidden", "nothing waits for you")
	x.keys("h", "q")
	if code := x.ends(); code != "0" {
		t.Errorf("it ends with %s", code)
	}
}

func TestTheInboxSurvivesASidecarsDeathAndAFreshOneAppears(t *testing.T) {
	s := newStand(t, "dev-abc12")
	s.asks("registry.example.org", "")
	x := s.inbox("")
	x.shows("1 open", "1 h left")
	s.stop()
	x.shows("on resume", "its sidecar does not answer")
	x.keys("r")
	x.shows("does not answer; what is open waits")
	s.begin()
	x.shows("1 h left", "!on resume")
	s.asks("later.example.org", "")
	x.shows("later.example.org", "2 open")
	x.keys("C-c")
	if code := x.ends(); code != "0" {
		t.Errorf("it ends with %s", code)
	}
}

func TestWhatWasDecidedElsewhereIsNotDecidedAgain(t *testing.T) {
	s := newStand(t, "dev-abc12")
	p := s.asks("registry.example.org", "")
	x, y := s.inbox(""), s.inbox("")
	x.shows("1 open")
	y.shows("1 open")
	x.keys("r")
	y.keys("o")
	x.shows("y approve for this run")
	y.shows("y approve once")
	x.keys("y")
	x.shows("approved, for this run")
	y.shows("is not what you were looking at any more")
	y.keys("y")
	y.shows("no key y here")
	if got := s.proposal(p.ID); got.Answer.Scope != ask.Run || s.applied != 1 {
		t.Errorf("%+v, applied %d times", got, s.applied)
	}
}

// What a person was shown changes under the open dialog: the answer to it decides nothing.
func TestAChangedEffectClosesTheDialog(t *testing.T) {
	s := newStand(t, "dev-abc12")
	p := s.asks("registry.example.org", "")
	x := s.inbox("")
	x.shows("1 open")
	x.keys("r")
	x.shows("y approve for this run")
	if err := s.Apply([]byte(`{"host":"*.example.org"}`)); err != nil {
		t.Fatal(err)
	}
	s.desk.Changed()
	x.shows("is not what you were looking at any more")
	x.keys("y")
	if got := s.proposal(p.ID); !got.State.Open() {
		t.Errorf("%+v", got)
	}
	x.keys("r")
	x.shows("y approve for this run", "careful")
}

// Whatever the moment at which the inbox is killed, nothing is lost and nothing happens twice.
func TestAKilledInboxLosesNothingAndDecidesNothingTwice(t *testing.T) {
	steps := []string{"A", "y"}
	for cut := range len(steps) + 2 {
		t.Run(strings.Join(steps[:min(cut, 2)], "")+map[bool]string{true: " and decided", false: ""}[cut > 2], func(t *testing.T) {
			s := newStand(t, "dev-abc12")
			p := s.asks("registry.example.org", "")
			x := s.inbox("")
			x.shows("1 open")
			pid := x.pid()
			die := func() { _ = syscall.Kill(pid, syscall.SIGKILL) }
			if cut > 2 { // after the decision and before anything is written into the file
				s.decided = die
			}
			for _, k := range steps[:min(cut, 2)] {
				x.keys(k)
				if k == "A" {
					x.shows("y approve for always")
				}
			}
			if cut == 2 {
				x.shows("approved")
			}
			if cut <= 2 {
				die()
			}
			if how := x.ends(); how != "137" {
				t.Fatalf("it ended with %s", how)
			}
			s.mu.Lock()
			s.decided = nil
			s.mu.Unlock()
			again := s.inbox("")
			switch {
			case cut < 2:
				again.shows("1 open", "registry.example.org")
				again.keys("A")
				again.shows("y approve for always")
				again.keys("y")
				again.shows("written into")
			case cut == 2:
				again.shows("approved", "!not in the bottle's file")
			default:
				again.shows("not in the bottle's file yet; w writes it")
				again.keys("w")
				again.shows("y write it", "dev.md changes")
				again.keys("y")
				again.shows("written into")
			}
			got := s.proposal(p.ID)
			file, err := os.ReadFile(filepath.Join(s.home.Bottles(), "dev.md"))
			if err != nil || got.State != ask.Granted || !got.Filed || s.applied != 1 || strings.Count(string(file), "registry.example.org") != 1 {
				t.Errorf("%+v, applied %d times, %v\n%s", got, s.applied, err, file)
			}
			journal, err := os.ReadFile(s.run.Paths().Proposals)
			if err != nil || strings.Count(string(journal), `"event":"decided"`) != 1 {
				t.Errorf("the journal is %s, %v", journal, err)
			}
		})
	}
}

func TestTheInboxAtOtherSizesAndOnAFlood(t *testing.T) {
	s := newStand(t, "dev-abc12")
	events := slices.Repeat([]audit.Event{{Kind: "request", Verdict: "allow", Method: "GET", Host: "api.example.org", Port: 443, Status: 200}}, 5000)
	s.log(append(events, audit.Event{Kind: "note", Message: "the last one"})...)
	s.asks("registry.example.org", "")
	x := s.inbox("")
	x.shows("1 open")
	x.keys("t")
	x.shows("the last one", "lines before: b")
	x.keys("b")
	x.shows("!the last one")
	x.keys("Space")
	x.shows("the last one")
	for _, size := range []string{"40x10", "200x60", "79x23", "132x43"} {
		w, h, _ := strings.Cut(size, "x")
		x.do("resize-window", "-x", w, "-y", h)
		x.shows("bot-bottle · 1 open", "the last one")
	}
	x.do("resize-window", "-x", "30", "-y", "5")
	x.shows("the inbox needs 40×10")
	x.do("resize-window", "-x", "60", "-y", "10")
	x.keys("A", "y") // what an approval does is longer than this screen: y means nothing yet
	x.shows("there is more below", "!y approve for always")
	x.keys("Space", "Space")
	x.shows("y approve for always")
	x.keys("n")
	x.do("resize-window", "-x", "80", "-y", "24")
	x.keys("t")
	x.shows("registry.example.org", "An approval would change")
}

func TestTheInboxForScripts(t *testing.T) {
	s := newStand(t, "dev-abc12")
	s.asks("registry.example.org", "clear \x1b[2J\u202e")
	c := s.command(t, "supervise", "--once")
	said, err := c.CombinedOutput()
	for _, want := range []string{"dev-abc12/1", "newly reachable", `clear \x1b[2J\u202e`, "1 open, 1 bottles running"} {
		if err != nil || !strings.Contains(string(said), want) {
			t.Errorf("%v, no %q in %s", err, want, said)
		}
	}
	var inbox struct {
		Bottles   []struct{ Identity, Source string }
		Questions []struct{ ID, State, Source string }
	}
	out, err := s.command(t, "supervise", "--once", "--json").Output()
	if err = errors.Join(err, json.Unmarshal(out, &inbox)); err != nil || len(inbox.Questions) != 1 || inbox.Questions[0].Source != "sidecar" || inbox.Bottles[0].Identity != "dev-abc12" {
		t.Errorf("%v, %s", err, out)
	}
	// Without --once there is a line at each change.
	c = s.command(t, "supervise", "--json")
	pipe, err := c.StdoutPipe()
	if err = errors.Join(err, c.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("it ended without %q: %v", text, lines.Err())
	}
	time.AfterFunc(patience, func() { _ = c.Process.Kill() })
	until("registry.example.org")
	s.asks("later.example.org", "")
	until("later.example.org")
	if err := errors.Join(c.Process.Signal(syscall.SIGINT), c.Wait()); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	if out, err := s.command(t, "supervise").CombinedOutput(); err == nil || !strings.Contains(string(out), "there is no terminal to show the inbox on") {
		t.Errorf("without a terminal: %v, %s", err, out)
	}
}

func TestListSaysWhatBottlesDidAndWhoKnows(t *testing.T) {
	s := newStand(t, "dev-abc12")
	s.asks("registry.example.org", "")
	for _, want := range []string{`dev-abc12 +running +dev +native +\S+ \S+ ago +12 +3 +1 +\d+ \S+ ago +sidecar`, `dev-abc12 +running +dev +native +\S+ \S+ ago +2 +1 +1 +\d+ \S+ ago +log`} {
		out, err := s.command(t, "list").Output()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%v, no %s in\n%s", err, want, out)
		}
		s.stop()
	}
	out, err := s.command(t, "list", "--json").Output()
	if err != nil || !strings.Contains(string(out), `"source": "log"`) {
		t.Errorf("%v, %s", err, out)
	}
}

func TestAScriptSeesTheChangeOfTheFile(t *testing.T) {
	s := newStand(t, "dev-abc12")
	p := s.asks("registry.example.org", "")
	file := filepath.Join(s.home.Bottles(), "dev.md")
	shown, err := s.command(t, "proposals", "show", p.ID).CombinedOutput()
	for _, want := range []string{"always would also change the bottle's file", file, "+ ", "registry.example.org"} {
		if err != nil || !strings.Contains(string(shown), want) {
			t.Errorf("%v, show has no %q: %s", err, want, shown)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(shown)), "\n")
	seen, ok := strings.CutPrefix(lines[len(lines)-1], "seen: ")
	if !ok {
		t.Fatalf("the last line is not the digest: %s", shown)
	}
	said, err := s.command(t, "proposals", "approve", p.ID, "--scope", "always", "--seen", seen).CombinedOutput()
	if err != nil || !strings.Contains(string(said), file) || !strings.Contains(string(said), "+ ") {
		t.Errorf("approve says %s, %v", said, err)
	}
	if out, err := s.command(t, "proposals", "reject", p.ID, "--yes").CombinedOutput(); err == nil || !strings.Contains(string(out), "unknown flag") {
		t.Errorf("reject --yes: %s, %v", out, err)
	}
}
