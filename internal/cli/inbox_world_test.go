package cli_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/desk"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// noon is when everything happens in these tests.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

const bottleFile = `---
# what the team reads
egress:
  routes:
    - host: api.example.org # ours
---
A bottle for tests.
`

// stand is a home with a bottle whose sidecar this test is: a real desk and a real journal behind
// the real control channel.
type stand struct {
	t    *testing.T
	home *store.Home
	run  *store.Run
	dir  string

	mu      sync.Mutex // guards what follows
	desk    *desk.Desk
	rules   *policy.Rules
	applied int
	decided func() // called after a decision, before it is answered
	stop    func()
}

func newStand(t *testing.T, id instance.ID) *stand {
	t.Helper()
	dir := t.TempDir()
	home, err := store.Locate(func(name string) string { return map[string]string{"BOT_BOTTLE_HOME": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		filepath.Join(home.Bottles(), "dev.md"): bottleFile,
		filepath.Join(home.Agents(), "dev.md"):  "---\nbottle: dev\n---\nBe brief.\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &stand{t: t, home: home, run: home.Run(id), dir: dir}
	if s.rules, err = policy.Compile(policy.Set{Routes: []policy.Route{{Host: "api.example.org"}}}); err != nil {
		t.Fatal(err)
	}
	record := store.Record{Identity: id, AgentName: "dev", Bottles: []string{}, Backend: "native", StartedAt: noon().Add(-3 * time.Minute)}
	if err := s.run.Own(record); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.run.Unlock)
	s.log(
		audit.Event{Kind: "lifecycle", Message: "sidecar ready"},
		audit.Event{Kind: "request", Verdict: "allow", Layer: "egress", Method: "GET", Host: "api.example.org", Port: 443, Status: 200},
		audit.Event{Kind: "request", Verdict: "deny", Layer: "egress", Method: "GET", Host: "evil.example", Port: 443, Path: "/\x1b[2Jx", Status: 403, Reason: "no route"},
	)
	s.begin()
	return s
}

// log writes the audit log anew.
func (s *stand) log(events ...audit.Event) {
	s.t.Helper()
	_ = os.Remove(s.run.Paths().Audit)
	f, err := os.OpenFile(s.run.Paths().Audit, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	l := audit.NewLog(f, audit.Genesis(string(s.run.ID)), nil)
	for _, e := range events {
		e.Time = noon()
		l.Record(e)
	}
	if err := l.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// begin is the start of the sidecar: a desk over the journal, and the socket.
func (s *stand) begin() {
	s.t.Helper()
	journal, err := os.OpenFile(s.run.Paths().Proposals, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := desk.New(desk.Config{ID: s.run.ID}, desk.Deps{Journal: journal, Kinds: map[ask.Kind]desk.Kind{ask.Route: s}, Now: noon})
	if err != nil {
		s.t.Fatal(err)
	}
	dir, name := s.run.StatusSocket()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	short, err := os.MkdirTemp("", "s") // a socket's address holds 107 bytes
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(short, name))
	if err != nil {
		s.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, name))
	if err := os.Symlink(filepath.Join(short, name), filepath.Join(dir, name)); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { _ = control.Serve(ctx, conn, s.methods(d)) })
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		_ = listener.Close()
		_ = d.Close()
		group.Wait()
		_ = os.RemoveAll(short)
	})
	s.t.Cleanup(stop)
	s.mu.Lock()
	s.desk, s.stop = d, stop
	s.mu.Unlock()
}

func (s *stand) methods(d *desk.Desk) map[string]control.Handler {
	return map[string]control.Handler{
		control.MethodStats: func(context.Context, []byte) (any, error) {
			return control.Stats{Requests: 12, Refused: 3, Pending: d.Open(), LastAt: noon().Add(-8 * time.Second)}, nil
		},
		control.MethodRoutes: func(context.Context, []byte) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return control.Live{Egress: s.rules.Set()}, nil
		},
		control.MethodProposals: func(ctx context.Context, params []byte) (any, error) {
			var query control.ProposalsQuery
			if err := control.Decode(params, &query); err != nil {
				return nil, err
			}
			ctx, cancel := context.WithTimeout(ctx, control.LongestWait)
			defer cancel()
			now := d.Snapshot(ctx, query.Since)
			return control.Proposals{Revision: now.Revision, Proposals: now.Proposals}, nil
		},
		control.MethodProposal: func(_ context.Context, params []byte) (any, error) {
			var ref control.ProposalRef
			if err := control.Decode(params, &ref); err != nil {
				return nil, err
			}
			return d.Proposal(ref.ID)
		},
		control.MethodDecide: func(_ context.Context, params []byte) (any, error) {
			var by ask.Decision
			if err := control.Decode(params, &by); err != nil {
				return nil, err
			}
			by.Candidate = append([]byte(nil), by.Candidate...)
			p, err := d.Decide(by)
			s.mu.Lock()
			decided := s.decided
			s.mu.Unlock()
			if decided != nil {
				decided()
			}
			return p, err
		},
		control.MethodFiled: func(_ context.Context, params []byte) (any, error) {
			var ref control.ProposalRef
			if err := control.Decode(params, &ref); err != nil {
				return nil, err
			}
			return nil, d.Filed(ref.ID)
		},
	}
}

// Effect implements desk.Kind.
func (s *stand) Effect(candidate json.RawMessage) ([]ask.Fact, error) {
	var route policy.Route
	if err := control.Decode(candidate, &route); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.rules.Offer(route)
	if err != nil {
		return nil, err
	}
	facts := []ask.Fact{
		{Name: "change", Value: "+ " + strings.ReplaceAll(strings.TrimSuffix(o.Added, "\n"), "\n", "\n+ ")},
		{Name: "newly reachable", Value: o.Opens}, {Name: "now", Value: o.Now},
	}
	for _, w := range o.Warnings {
		facts = append(facts, ask.Fact{Name: "careful", Value: w})
	}
	return facts, nil
}

// Apply implements desk.Kind.
func (s *stand) Apply(candidate json.RawMessage) error {
	var route policy.Route
	if err := control.Decode(candidate, &route); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := s.rules.With(route)
	if err != nil {
		return err
	}
	s.applied++
	s.rules, err = policy.Compile(set)
	return err
}

// asks puts a question that stays open, as the agent's tool does.
func (s *stand) asks(host, words string) ask.Proposal {
	s.t.Helper()
	candidate, err := json.Marshal(policy.Route{Host: host, Ports: []uint16{443}, Matches: []policy.Match{{Methods: []string{"GET", "HEAD"}}}})
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.desk.Submit(ask.Question{
		Kind: ask.Route, Key: host, Title: "GET https://" + host + "/", Words: words, Candidate: candidate,
		Facts: []ask.Fact{{Name: "asked with", Value: "egress-allow"}}, Scopes: []ask.Scope{ask.Once, ask.Run, ask.Always},
	}, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *stand) proposal(id string) ask.Proposal {
	s.t.Helper()
	p, err := s.desk.Proposal(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// terminal is tmux with one program in it.
type terminal struct {
	t      *testing.T
	dir    string // of its socket, the pid of the program, and its exit code
	golden string
	step   int
}

// inbox runs `bot-bottle supervise` of a home on a terminal of its own.
func (s *stand) inbox(golden string, more ...string) *terminal {
	s.t.Helper()
	need.Require(s.t, need.Tmux, lookTmux())
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		s.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	program := filepath.Join(dir, "bot-bottle")
	if err := os.Symlink(self, program); err != nil {
		s.t.Fatal(err)
	}
	term := &terminal{t: s.t, dir: dir, golden: golden}
	command := fmt.Sprintf(`sh -c 'echo $$ >%[1]s/pid; exec %[1]s/bot-bottle supervise %[2]s'; echo $? >%[1]s/code; exec sleep 1000`, dir, strings.Join(more, " "))
	c := exec.Command("tmux", "-S", filepath.Join(dir, "tmux"), "-f", os.DevNull, "new-session", "-d", "-x", "80", "-y", "24", command, ";",
		"set-option", "-g", "status", "off", ";", "set-option", "-s", "escape-time", "0")
	c.Env = s.environment()
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("tmux: %v: %s", err, out)
	}
	s.t.Cleanup(func() {
		_, _ = term.tmux("kill-server")
		_ = os.RemoveAll(dir)
	})
	return term
}

func (s *stand) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "BOT_BOTTLE_HOME=" + s.home.Root(), "TERM=xterm-256color", "LANG=C.UTF-8", "TZ=UTC",
		"BOT_BOTTLE_TEST_CLOCK=" + noon().Format(time.RFC3339), "EDITOR=" + filepath.Join(s.dir, "editor"), "TMPDIR=" + s.t.TempDir(),
	}
}

// command is the program without a terminal.
func (s *stand) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Args[0], c.Env = "bot-bottle", s.environment()
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c
}

func lookTmux() error {
	_, err := exec.LookPath("tmux")
	return err
}

func (x *terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-S", filepath.Join(x.dir, "tmux")}, args...)...).CombinedOutput()
	return string(out), err
}

func (x *terminal) do(args ...string) string {
	x.t.Helper()
	out, err := x.tmux(args...)
	if err != nil {
		x.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return out
}

// keys are typed one after the other; names are those of tmux.
func (x *terminal) keys(keys ...string) {
	x.t.Helper()
	for _, k := range keys {
		x.do("send-keys", k)
	}
}

func (x *terminal) types(text string) {
	x.t.Helper()
	x.do("send-keys", "-l", text)
}

// screen is what the person sees.
func (x *terminal) screen() string {
	x.t.Helper()
	lines := strings.Split(x.do("capture-pane", "-p"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

// shows waits until all texts are on the screen, and none that begins with "!".
func (x *terminal) shows(texts ...string) string {
	x.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		screen := x.screen()
		missing := ""
		for _, text := range texts {
			wanted, not := strings.CutPrefix(text, "!")
			if not == strings.Contains(screen, wanted) {
				missing = text
			}
		}
		if missing == "" {
			return screen
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("within %v not %q on the screen:\n%s", patience, missing, screen)
		}
		<-tick.C
	}
}

// captured waits until the screen is that of the golden file of this step. With -update it is
// written, once the texts are there and nothing moves.
func (x *terminal) captured(name string, texts ...string) {
	x.t.Helper()
	x.step++
	path := filepath.Join("testdata", x.golden, strconv.Itoa(100 + x.step)[1:]+"-"+name+".txt")
	if *update {
		got := x.still(texts...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			x.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			x.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := x.screen(); got != string(want); got = x.screen() {
		if time.Now().After(deadline) {
			x.t.Fatalf("%s: the screen is\n%s\nand not\n%s", path, got, want)
		}
		<-tick.C
	}
}

// still is a screen that has stayed the same for a while.
func (x *terminal) still(texts ...string) string {
	x.t.Helper()
	got, same := x.shows(texts...), 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for same < 40 {
		<-tick.C
		if now := x.screen(); now == got {
			same++
		} else {
			got, same = now, 0
		}
	}
	return got
}

// pid is the inbox's, which has drawn something already.
func (x *terminal) pid() int {
	x.t.Helper()
	pid, err := strconv.Atoi(x.wrote("pid"))
	if err != nil {
		x.t.Fatal(err)
	}
	return pid
}

// ends waits for the end of the program and returns its exit code, as a shell has it.
func (x *terminal) ends() string {
	x.t.Helper()
	return x.wrote("code")
}

// wrote waits for a line in a file.
func (x *terminal) wrote(name string) string {
	x.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		line, err := os.ReadFile(filepath.Join(x.dir, name))
		if rest, ended := strings.CutSuffix(string(line), "\n"); ended {
			return rest
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("there is no %s, %v, and on the screen\n%s", name, err, x.screen())
		}
		<-tick.C
	}
}
