package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/bottle"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// client uses this world's home and program.
func (w *world) client() bottle.Client {
	c := bottle.Client{Program: program, Home: w.home}
	for k, v := range w.env {
		c.Env = append(c.Env, k+"="+v)
	}
	return c
}

// asking is an agent that asks the model for as many words as its task says, and one host too many.
const asking = `case "$*" in
*wait*) echo running; trap 'exit 0' TERM; while :; do read -t 1000 <> <(:); done ;;
*fail*) exit 7 ;;
esac
curl -sS -o /dev/null -w '%{http_code}\n' https://api.anthropic.com/v1/models
curl -sS -o /dev/null https://denied.example/ 2>/dev/null
echo "done: $*"
`

// askingWorld has an agent that asks a model without models.
func askingWorld(t *testing.T) *world {
	t.Helper()
	needNative(t)
	model := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data": []}`) })
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: model}})
	w.bottle("supervise: false\n", claude.Host)
	w.agent(asking)
	return w
}

func TestFiftyRunsFromTheLibrary(t *testing.T) {
	w := askingWorld(t)
	c := w.client()
	const runs = 50
	var all sync.WaitGroup
	problems := make(chan string, runs)
	seen := sync.Map{}
	for i := range runs {
		all.Go(func() {
			task, want := fmt.Sprintf("task %d", i), 0
			if i%10 == 9 {
				task, want = "fail", 7
			}
			r, err := c.Start(t.Context(), bottle.Options{Agent: "work", Prompt: task, Dir: w.project})
			if err != nil {
				problems <- fmt.Sprintf("run %d: %v", i, err)
				return
			}
			result, err := r.Wait()
			_, twice := seen.LoadOrStore(result.Identity, true)
			good := err == nil && !twice && result.Identity == r.ID && result.ExitCode == want && result.Kept == (want != 0)
			if want == 0 {
				good = good && strings.Contains(result.Output, "200\n") && strings.Contains(result.Output, task) && len(result.Refused) == 1 && result.Refused[0].Host == "denied.example"
			}
			if !good {
				problems <- fmt.Sprintf("run %d: %+v, %v", i, result, err)
			}
		})
	}
	all.Wait()
	close(problems)
	for p := range problems {
		t.Error(p)
	}
	kept, err := c.List(t.Context())
	if err != nil || len(kept) != runs/10 {
		t.Errorf("kept %d, %v", len(kept), err)
	}
	for _, k := range kept {
		if err := c.Remove(t.Context(), k.Identity); err != nil {
			t.Error(err)
		}
	}
	w.nothingIsLeft(nil)
}

func TestTheLibraryIsInsideARunThatLives(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("supervise: false\n", claude.Host)
	w.agent(asking)
	c := w.client()
	r, err := c.Start(t.Context(), bottle.Options{Agent: "work", Prompt: "wait", Dir: w.project, Label: "the one"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for e, err := range r.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Message == "agent started" {
			break
		}
	}
	var out bytes.Buffer
	if code, err := r.Exec(ctx, []string{"sh", "-c", "cat; exit 4"}, strings.NewReader("through"), &out, nil); err != nil || code != 4 || out.String() != "through" {
		t.Errorf("exec: %d %q %v", code, out.String(), err)
	}
	if all, err := c.List(ctx); err != nil || len(all) != 1 || all[0].Identity != r.ID || all[0].State != "running" || all[0].Label != "the one" {
		t.Errorf("list: %+v, %v", all, err)
	}
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	result, err := r.Wait()
	if err != nil || !result.Kept {
		t.Errorf("%+v, %v", result, err)
	}
	again, err := c.Resume(ctx, r.ID, "go on")
	if err != nil {
		t.Fatal(err)
	}
	if result, err = again.Wait(); err != nil || result.Identity != r.ID || !strings.Contains(result.Output, "done:") {
		t.Errorf("resumed: %+v, %v", result, err)
	}
}

func TestTheLibraryTellsWhatIsWrong(t *testing.T) {
	needNative(t)
	w := newWorld(t, standin.Config{})
	w.bottle("supervise: false\n", claude.Host)
	w.agent(asking)
	var e *bottle.Error
	if _, err := w.client().Start(t.Context(), bottle.Options{Agent: "worx", Prompt: "x", Dir: w.project}); !asError(err, &e) || e.Code != 125 || !strings.Contains(e.Text, "work") {
		t.Errorf("no such agent: %v", err)
	}
	if _, err := (bottle.Client{Program: filepath.Join(w.dir, "none")}).Start(t.Context(), bottle.Options{Agent: "work", Prompt: "x"}); err == nil {
		t.Error("a program that is not there was started")
	}
}

func asError(err error, to **bottle.Error) bool {
	e, ok := err.(*bottle.Error)
	*to = e
	return ok
}

// TestTheOrchestratorRuns builds the example and lets it run two agents.
func TestTheOrchestratorRuns(t *testing.T) {
	w := askingWorld(t)
	if err := exec.Command("cp", program, filepath.Join(w.bin, "bot-bottle")).Run(); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(w.dir, "orchestrator")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, "../../examples/orchestrator").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := w.commandOf(t.Context(), built, "-agent", "work", "-n", "2", "a", "task").CombinedOutput()
	if err != nil || strings.Count(string(out), "ended with 0") != 2 || strings.Count(string(out), "done: ") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}
