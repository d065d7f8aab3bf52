package cli_test

import (
	"github.com/bot-bottle/bot-bottle/internal/need"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// person sits at a terminal of its own, whose controlling process is the command.
type person struct {
	t     *testing.T
	tty   *os.File
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex // guards what follows
	seen []byte
	more chan struct{} // closed and replaced when there is more to see
}

// sit runs a command in a home where agents "work" and "worker" are.
func sit(t *testing.T, args ...string) *person {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"user/.bot-bottle/bottles/ask.md":   "---\nenv: {PASS: \"?Database password\"}\n---\n",
		"user/.bot-bottle/agents/work.md":   "---\nbottle: claude\n---\n",
		"user/.bot-bottle/agents/worker.md": "---\nbottle: ask\n---\n",
		"bin/claude":                        "#!/bin/sh\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = filepath.Join(dir, "bin")
	cmd.Env = []string{"HOME=" + filepath.Join(dir, "user"), "PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"),
		"BOT_BOTTLE_CLAUDE_OAUTH_TOKEN=tok-" + "en"}
	tty, err := pty.Start(cmd)
	if err != nil {
		need.Require(t, need.Tmux, err)
	}
	p := &person{t: t, tty: tty, cmd: cmd, ended: make(chan struct{}), more: make(chan struct{})}
	go p.watch()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		<-p.ended
	})
	return p
}

func (p *person) watch() {
	defer close(p.ended)
	buf := make([]byte, 4096)
	for {
		n, err := p.tty.Read(buf)
		p.mu.Lock()
		p.seen = append(p.seen, buf[:n]...)
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// sees waits until the text is on the screen.
func (p *person) sees(text string) {
	p.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		seen, more := string(p.seen), p.more
		p.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if !strings.Contains(p.screen(), text) {
				p.t.Fatalf("ended without %q:\n%s", text, p.screen())
			}
			return
		case <-limit:
			p.t.Fatalf("no %q:\n%s", text, seen)
		}
	}
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.seen)
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, text); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the command's end.
func (p *person) leaves(code int) {
	p.t.Helper()
	_ = p.cmd.Wait() // the code says it
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit %d, want %d:\n%s", got, code, p.screen())
	}
}

func TestTheQuestion(t *testing.T) {
	for _, tt := range []struct{ name, typed, says string }{
		{"n is no", "n\r", "not started"},
		{"nothing is no", "\r", "not started"},
		{"anything else is no", "yeah\r", "not started"},
		{"Ctrl-C", "\x03", "interrupted"},
		{"Ctrl-D", "\x04", "no answer on the terminal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sit(t, "bot-bottle", "start", "work")
			p.sees("start this bottle? [y/N] ")
			p.types(tt.typed)
			p.leaves(130)
			p.sees(tt.says)
			home := filepath.Join(filepath.Dir(p.cmd.Dir), "user", ".bot-bottle", "state")
			if _, err := os.Stat(home); !os.IsNotExist(err) {
				t.Errorf("there is state: %v", err)
			}
		})
	}
}

func TestTheQuestionComesFromTheTerminalWhenStdinDoesNot(t *testing.T) {
	p := sit(t, "sh", "-c", "yes | bot-bottle start work")
	p.sees("[y/N] ")
	p.types("n\r")
	p.leaves(130)
	p.sees("not started")
}

func TestThePicker(t *testing.T) {
	p := sit(t, "bot-bottle", "start", "--dry-run")
	p.sees("agent (number, name, or part of one): ")
	p.types("zzz\r")
	p.sees(`no agent has "zzz" in its name`)
	p.types("wor\r")
	p.sees("2  worker")
	p.types("1\r")
	p.sees("agent           work")
	p.leaves(0)

	p = sit(t, "bot-bottle", "start", "--dry-run")
	p.sees("part of one): ")
	p.types("work\r")
	p.sees("agent           work")
	p.leaves(0)

	p = sit(t, "bot-bottle", "start", "--dry-run")
	p.sees("part of one): ")
	p.types("\r")
	p.leaves(130)
	p.sees("no agent chosen")

	p = sit(t, "bot-bottle", "start", "work", "--bottle", "?", "--dry-run")
	p.sees("bottle (number, name, or part of one): ")
	p.types("codex\r")
	p.sees("bottle          codex")
	p.leaves(125) // there is no key of codex here
}

func TestASecretIsAskedWithoutEcho(t *testing.T) {
	p := sit(t, "bot-bottle", "start", "worker", "--yes")
	p.sees("Database password: ")
	value := "hid" + "den-value"
	p.types(value + "\r")
	p.leaves(125)
	p.sees("cannot prepare in this test")
	if strings.Contains(p.screen(), value) {
		t.Errorf("the value is on the screen:\n%s", p.screen())
	}
	p = sit(t, "bot-bottle", "start", "worker", "--yes")
	p.sees("Database password: ")
	p.types("half\x03")
	p.leaves(130)
	if strings.Contains(p.screen(), "half") {
		t.Errorf("the half value is on the screen:\n%s", p.screen())
	}
}

func TestInitAsks(t *testing.T) {
	p := sit(t, "bot-bottle", "init")
	for _, answer := range []string{"mine", "", "api.github.com", "none", "Bot", "bot@example.org", "Be brief."} {
		p.sees(": ")
		p.types(answer + "\r")
	}
	p.leaves(0)
	p.sees("start it with: bot-bottle start mine")
	text, err := os.ReadFile(filepath.Join(filepath.Dir(p.cmd.Dir), "user", ".bot-bottle", "bottles", "mine.md"))
	if err != nil || !strings.Contains(string(text), "api.github.com") || !strings.Contains(string(text), "Bot") {
		t.Errorf("%s\n%v", text, err)
	}
	p = sit(t, "bot-bottle", "init")
	p.sees(": ")
	p.types("\x04")
	p.leaves(130)
}
