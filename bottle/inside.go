package bottle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"time"
)

// ownFailure is the exit code with which the program says that it, and not what ran in the bottle,
// has failed.
const ownFailure = 125

// Exec runs one more command in the bottle while it runs, with the environment of every bottle, and
// returns its exit code. in may be nil, out and errs too.
func (r *Run) Exec(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) (int, error) {
	var words tail
	cmd := r.client.command(ctx, append([]string{"exec", r.ID, "--"}, args...))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &words
	if errs != nil {
		cmd.Stderr = io.MultiWriter(&words, errs)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.ExitCode() != ownFailure && exit.ExitCode() >= 0 {
		return cmd.ProcessState.ExitCode(), nil
	}
	return ownFailure, failed(err, words.String())
}

// Event is one line of the run's audit log: what went out, what was refused and why, and what
// happened around it. Fields that do not apply are zero. It never holds the value of a secret.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`    // "request", "connect", "dns", "proposal", "lifecycle", "alarm", "note", "seal"
	Verdict  string    `json:"verdict"` // "allow", "deny"
	Layer    string    `json:"layer"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Port     uint16    `json:"port"`
	Path     string    `json:"path"`
	Rule     string    `json:"rule"`
	Reason   string    `json:"reason"`
	Status   int       `json:"status"`
	Sent     int64     `json:"sent"`
	Received int64     `json:"received"`
	Message  string    `json:"message"`
}

// Events yields the events of the run from its beginning, as they come, until the run is over, ctx
// ends or the loop does. An error is the last thing that it yields.
func (r *Run) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stop := make(chan struct{})
		defer close(stop)
		go func() { // log -f ends by itself only when the log is gone
			select {
			case <-r.done:
				cancel()
			case <-stop:
			}
		}()
		var words tail
		cmd := r.client.command(ctx, []string{"log", r.ID, "--follow", "--json"})
		cmd.Stderr = &words
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			yield(Event{}, fmt.Errorf("cannot read the events of %s: %w", r.ID, err))
			return
		}
		stopped, broken := read(out, yield)
		if broken != nil || stopped {
			cancel()
		}
		err = cmd.Wait()
		over := ctx.Err() != nil
		if !stopped && (broken != nil || err != nil && !over) {
			yield(Event{}, errors.Join(broken, failed(err, words.String())))
		}
	}
}

// read yields lines; stopped is true where the loop wants no more.
func read(from io.Reader, yield func(Event, error) bool) (stopped bool, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &e); err != nil {
			return false, fmt.Errorf("cannot read an event: %w", err)
		}
		if !yield(e, nil) {
			return true, nil
		}
	}
	return false, nil // how it ended says Wait
}

// Info is a bottle in a list.
type Info struct {
	Identity  string    `json:"identity"`
	State     string    `json:"state"` // "running", "kept", "committed", "left over", …
	Agent     string    `json:"agent"`
	Backend   string    `json:"backend"`
	StartedAt time.Time `json:"started_at"`
	Label     string    `json:"label"`
}

// List returns every bottle of the home, running and kept.
func (c Client) List(ctx context.Context) ([]Info, error) {
	var out bytes.Buffer
	var words tail
	cmd := c.command(ctx, []string{"list", "--json"})
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return nil, failed(err, words.String())
	}
	var all []Info
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		return nil, fmt.Errorf("cannot read the list of bottles: %w", err)
	}
	return all, nil
}

// Remove removes what was kept of a bottle that does not run.
func (c Client) Remove(ctx context.Context, id string) error {
	if err := notNamed("identity", id); err != nil {
		return err
	}
	var words tail
	cmd := c.command(ctx, []string{"rm", id, "--yes"})
	cmd.Stderr = &words
	return failed(cmd.Run(), words.String())
}
