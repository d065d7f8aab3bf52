package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// asksOnce is an agent whose only request waits for the operator.
const asksOnce = "echo running; curl -s -m 60 -o /dev/null -w 'answer %{http_code}\\n' http://unknown.example.org/x; exit 3\n"

const askingEgress = "egress:\n  on_deny: ask\n"

// The operator sees a bottle of either backend live, in list and in the inbox, and its log is sealed
// and proven when it has ended.
func TestTheOperatorSeesABottle(t *testing.T) {
	t.Run("native", func(t *testing.T) {
		needNative(t)
		w := newWorld(t, standin.Config{})
		w.agent(asksOnce)
		w.file(filepath.Join(w.home, "bottles", "work.md"), "---\n"+askingEgress+"---\n", 0o600)
		w.file(filepath.Join(w.home, "agents", "work.md"), "---\nbottle: work\n---\n", 0o600)
		w.isSeen()
	})
	t.Run("docker", func(t *testing.T) {
		w := containerWorld(t, asksOnce)
		path := filepath.Join(w.home, "bottles", "work.md")
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "egress:\n") {
			t.Fatalf("%s, %v", text, err)
		}
		w.file(path, strings.Replace(string(text), "egress:\n", askingEgress, 1), 0o600)
		w.isSeen()
	})
}

func (w *world) isSeen() {
	w.t.Helper()
	b := w.begin()
	b.says("running")
	var inbox struct {
		Bottles   []struct{ Identity, Source string }
		Questions []struct{ ID, State, Source, Digest string }
	}
	eventually(w.t, "the question is in the inbox", func() bool {
		r := w.run("supervise", "--once", "--json")
		return json.Unmarshal([]byte(r.out), &inbox) == nil && len(inbox.Questions) == 1
	})
	q := inbox.Questions[0]
	if q.State != "pending" || q.Source != "sidecar" || inbox.Bottles[0].Source != "sidecar" {
		w.t.Errorf("the inbox is %+v", inbox)
	}
	var listed []struct {
		State    string
		Activity struct {
			Source  string
			Pending int
		}
	}
	r := w.run("list", "--json")
	if err := json.Unmarshal([]byte(r.out), &listed); err != nil || len(listed) != 1 || listed[0].Activity.Source != "sidecar" || listed[0].Activity.Pending != 1 {
		w.t.Errorf("%v, the list is %s %s", err, r.out, r.err)
	}
	if r := w.run("proposals", "reject", q.ID, "--seen", q.Digest, "--reason", "not that one"); r.code != 0 {
		w.t.Errorf("reject: %+v", r)
	}
	id := b.wait().kept(w.t)
	if !strings.Contains(b.out.String(), "answer 403") {
		w.t.Errorf("the agent says %s", b.out.String())
	}
	if r := w.run("log", id, "--verify"); r.code != 0 || !strings.Contains(r.out, "it is sealed: nothing is missing at its end") {
		w.t.Errorf("verify: %+v", r)
	}
	if r := w.run("log", id, "--kind", "proposal"); !strings.Contains(r.out, "asked: GET http://unknown.example.org/x") || !strings.Contains(r.out, "not that one") {
		w.t.Errorf("the log: %s", r.out)
	}
	if r := w.run("list", "--json"); !strings.Contains(r.out, `"source": "log"`) {
		w.t.Errorf("the list: %s", r.out)
	}
}
