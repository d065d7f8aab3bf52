package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// TestFiveStartsAtOnceDoNotCollide has five build the same image, meet while all of them run, and
// each end in its own way.
func TestFiveStartsAtOnceDoNotCollide(t *testing.T) {
	const count = 5
	w := containerWorldOf(t, `number=${@: -1}
ls ~/workspace | sed 's/^/found /'
echo "of $number" > ~/workspace/mark; cat ~/workspace/mark
curl -sS -m 60 https://meet.example.org/ && cat ~/workspace/mark && hostname; exit $((20 + number))
`, standin.Config{Hosts: map[string]http.Handler{"meet.example.org": newMeeting(count)}}, "meet.example.org")
	all := make([]*background, count)
	for i := range all {
		all[i] = w.spawn(w.command(t.Context(), append(startArgs, fmt.Sprint(i))...))
	}
	seen := map[string]bool{}
	for i, b := range all {
		r := b.wait()
		mark := fmt.Sprintf("of %d\n", i)
		if r.code != 20+i || strings.Contains(r.out, "found ") || !strings.HasPrefix(r.out, mark+"all are here\n"+mark) {
			t.Errorf("%d: exit %d\n%s\n%s", i, r.code, r.out, r.err)
			continue
		}
		id := r.kept(t)
		if seen[id] || !strings.HasSuffix(r.out, "\n"+id+"\n") {
			t.Errorf("%d is %q:\n%s", i, id, r.out)
		}
		seen[id] = true
	}
	if rows := w.list(); len(rows) != count {
		t.Errorf("listed: %+v", rows)
	}
	w.clean("--preserved")
	w.stateIs()
}

// found is a container as the engine lists it.
type found struct {
	Names  []string
	Labels map[string]string
	State  string
}

// TestComposeKnowsABottle asks the engine as `docker compose ls` and `docker compose -p … logs` do, and Debian's
// docker-compose itself, which finds projects by the same labels.
func TestComposeKnowsABottle(t *testing.T) {
	w := containerWorld(t, "echo running; exec sleep 100000\n")
	_, err := exec.LookPath("docker-compose")
	need.Require(t, need.Docker, err)
	b := w.begin()
	b.says("running\n")
	id := w.only().Identity
	project := "bot-bottle-" + id

	const prefix = "com.docker.compose."
	projects := map[string][]string{}
	for _, c := range listed(t, prefix+"project", prefix+"config-hash") { // ls
		if c.State != "running" || c.Labels[prefix+"project.config_files"] == "" {
			t.Errorf("ls shows %+v", c)
		}
		projects[c.Labels[prefix+"project"]] = append(projects[c.Labels[prefix+"project"]], c.Labels[prefix+"service"])
	}
	if len(projects) != 1 || len(projects[project]) != 2 {
		t.Errorf("ls shows %v", projects)
	}
	if got := listed(t, prefix+"project="+project, prefix+"config-hash", prefix+"oneoff=False"); len(got) != 2 { // -p … logs
		t.Errorf("logs would be of %+v", got)
	}

	file := filepath.Join(w.dir, "compose.yml")
	w.file(file, "version: '3'\nservices: {agent: {image: x}, sidecar: {image: x}}\n", 0o644)
	compose := func(args ...string) string {
		out, err := w.commandOf(context.Background(), "docker-compose", append([]string{"-p", project, "-f", file, "--no-ansi"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("docker-compose %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := compose("ps", "--services", "--filter", "status=running"); !strings.Contains(out, "agent\n") || !strings.Contains(out, "sidecar\n") {
		t.Errorf("services: %s", out)
	}
	if out := compose("ps"); !strings.Contains(out, project+"-sidecar") || strings.Count(out, " Up ") != 2 {
		t.Errorf("ps: %s", out)
	}
	// What the containers say is the protocol of their owner, which the engine does not keep.
	if out := compose("logs"); !strings.Contains(out, "Attaching to ") || !strings.Contains(out, project) {
		t.Errorf("logs: %s", out)
	}
	if r := w.run("stop", id); r.code != 0 {
		t.Errorf("stop: %d %s", r.code, r.err)
	}
	b.wait()
	w.clean("--preserved")
	w.stateIs()
	if got := listed(t, prefix+"project"); len(got) > 0 {
		t.Errorf("ls still shows %+v", got)
	}
}

// listed asks the engine for containers with labels, running or not.
func listed(t *testing.T, labels ...string) (all []found) {
	t.Helper()
	filters, err := json.Marshal(map[string][]string{"label": labels})
	if err == nil {
		err = dockerEngine.engine.Call(t.Context(), http.MethodGet, "/containers/json?all=1&filters="+url.QueryEscape(string(filters)), nil, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}
