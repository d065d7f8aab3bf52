// Package bottle runs coding agents in bottles from a Go program: start, resume, exec, events, stop.
//
// Its one rule: the program bot-bottle owns every bottle, in a process of its own; the end of that
// process is the end of the bottle, and what happens to one run happens to no other.
//
//	c := bottle.Client{}
//	run, err := c.Start(ctx, bottle.Options{Agent: "claude", Prompt: "fix the tests", Dir: "/src/app"})
//	…
//	result, err := run.Wait()
package bottle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Client finds the program and tells it where its manifests and state are. The zero value uses the
// program in PATH with this process's environment. It is safe for concurrent use.
type Client struct {
	Program string   // of bot-bottle; "": found in PATH
	Home    string   // "": BOT_BOTTLE_HOME, else ~/.bot-bottle
	Env     []string // nil: this process's; the tokens that manifests name are looked up here
}

// Options say what to run. Agent and Prompt are needed, or From and Prompt.
type Options struct {
	Agent   string   // a manifest's name
	Prompt  string   // the task
	Dir     string   // the directory that is brought in where the bottle says so; "": the current one
	Copy    bool     // bring Dir in whatever the bottle says
	Bottles []string // instead of the agent's own, merged in order
	Backend string   // "": the usual choice
	Label   string   // for people; told apart by a number where it is taken
	From    string   // with the files of this bottle
	Args    []string // for the agent's program
	Install bool     // let it install the agent's program from npm
}

// Result is how a run ended.
type Result struct {
	Identity string    `json:"identity"`
	Agent    string    `json:"agent"`
	Provider string    `json:"provider"`
	Label    string    `json:"label"`
	ExitCode int       `json:"exit_code"` // the agent's; 125 where the run itself failed, 130 where it was interrupted
	Seconds  float64   `json:"duration_seconds"`
	Kept     bool      `json:"kept"` // for a Resume; Why says why
	Why      string    `json:"why"`
	Output   string    `json:"output"`     // what the agent wrote to its standard output, at most 4 MiB
	Cut      bool      `json:"output_cut"` // there was more
	Refused  []Refusal `json:"refused"`
	Error    string    `json:"error"` // of the run itself
	Hint     string    `json:"hint"`
}

// Refusal is what the sidecar refused, once for each kind.
type Refusal struct {
	Host   string `json:"host"`
	Port   uint16 `json:"port"`
	Layer  string `json:"layer"`
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Error is why the program could not do what it was asked to; Code is its exit code.
type Error struct {
	Code int
	Text string // its words for a person, the hint included
}

func (e *Error) Error() string { return e.Text }

// Run is one run that was started. Its methods are safe for concurrent use.
type Run struct {
	ID string // the identity

	client Client
	cmd    *exec.Cmd
	out    bytes.Buffer
	errs   tail
	done   chan struct{}
	once   sync.Once
	ended  error
}

// Start runs an agent without a terminal and returns when its bottle is being made. The end of
// ctx ends the run, as Stop does; what it left is kept.
func (c Client) Start(ctx context.Context, o Options) (*Run, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	args := []string{"start"}
	if o.Agent != "" {
		args = append(args, o.Agent)
	}
	flag := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	flag("backend", o.Backend)
	flag("label", o.Label)
	flag("from", o.From)
	for _, b := range o.Bottles {
		flag("bottle", b)
	}
	if o.Copy {
		args = append(args, "--cwd")
	}
	return c.begin(ctx, args, o.Dir, o.Prompt, o.Install, o.Args)
}

// Resume goes on with a run that was kept.
func (c Client) Resume(ctx context.Context, id, prompt string, args ...string) (*Run, error) {
	if err := notNamed("identity", id); err != nil {
		return nil, err
	}
	return c.begin(ctx, []string{"resume", id}, "", prompt, false, args)
}

func (c Client) begin(ctx context.Context, args []string, dir, prompt string, install bool, more []string) (*Run, error) {
	args = append(args, "--headless", "--json", "--prompt="+prompt, "--id-file=/dev/fd/3")
	if install {
		args = append(args, "--yes")
	}
	args = append(append(args, "--"), more...)
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start a bottle: %w", err)
	}
	defer read.Close()
	r := &Run{client: c, cmd: c.command(ctx, args), done: make(chan struct{})}
	r.cmd.Dir, r.cmd.ExtraFiles = dir, []*os.File{write}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	err = r.cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot start a bottle: %w", err)
	}
	go func() {
		r.ended = r.cmd.Wait()
		close(r.done)
	}()
	id, err := bufio.NewReader(read).ReadString('\n')
	if err != nil { // it ended before it had one
		<-r.done
		return nil, r.failure()
	}
	r.ID = strings.TrimSpace(id)
	return r, nil
}

// command is the program with the settings of c. When ctx ends it is asked to end, and gets the
// time to settle what it has.
func (c Client) command(ctx context.Context, args []string) *exec.Cmd {
	program := c.Program
	if program == "" {
		program = "bot-bottle"
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	if c.Home != "" {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "BOT_BOTTLE_HOME="+c.Home)
	}
	return cmd
}

// Wait returns how the run ended, once it has. An error means that the program gave no account of
// it; a run that failed, or an agent that did, is a Result.
func (r *Run) Wait() (Result, error) {
	<-r.done
	var result Result
	if err := json.Unmarshal(r.out.Bytes(), &result); err != nil || result.Identity == "" {
		return result, r.failure()
	}
	return result, nil
}

// Done is closed when the run has ended and is settled.
func (r *Run) Done() <-chan struct{} { return r.done }

// Stop asks the agent to end, and returns when the run is settled. One that has ended is success.
func (r *Run) Stop(ctx context.Context) error {
	r.once.Do(func() { _ = r.cmd.Process.Signal(syscall.SIGTERM) }) // fails only where it has ended
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Run) failure() error {
	code := r.cmd.ProcessState.ExitCode()
	text := strings.TrimSpace(r.errs.String())
	if text == "" {
		text = fmt.Sprintf("bot-bottle ended with %d and said nothing: %v", code, r.ended)
	}
	return &Error{Code: code, Text: strings.TrimPrefix(text, "bot-bottle: ")}
}

// tail keeps the end of what the program tells a person.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const maxWords = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxWords; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// failed turns the end of a command into an *Error with what it said.
func failed(err error, words string) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	return &Error{Code: exit.ExitCode(), Text: strings.TrimPrefix(strings.TrimSpace(words), "bot-bottle: ")}
}
