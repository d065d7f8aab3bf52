package docker

import (
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

func TestJudgeEngine(t *testing.T) {
	good := engine.Info{ServerVersion: "20.10.24", OSType: "linux", PidsLimit: true, MemoryLimit: true, SecurityOptions: []string{"name=seccomp,profile=default"}}
	for name, c := range map[string]struct {
		edit  func(*engine.Info)
		works bool
		says  string
		site  site
	}{
		"a good engine works":                    {func(*engine.Info) {}, true, "", site{}},
		"an engine of another system does not":   {func(i *engine.Info) { i.OSType = "windows" }, false, "no Linux containers", site{}},
		"nor one that cannot limit processes":    {func(i *engine.Info) { i.PidsLimit = false }, false, "limit processes", site{}},
		"nor one that cannot limit memory":       {func(i *engine.Info) { i.MemoryLimit = false }, false, "limit memory", site{}},
		"nor one without seccomp":                {func(i *engine.Info) { i.SecurityOptions = nil }, false, "no seccomp", site{}},
		"nor one that remaps users":              {func(i *engine.Info) { i.SecurityOptions = append(i.SecurityOptions, "name=userns") }, false, "remaps users", site{}},
		"a runsc that is not used is told about": {func(*engine.Info) {}, true, "not used: too old", site{runtime: runc, refused: "too old"}},
		"and what one that is used lacks":        {func(*engine.Info) {}, true, "Landlock", site{runtime: runsc, kernel: "4.4.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			info := good
			c.edit(&info)
			got := judgeEngine(info, &c.site)
			var said []string
			for _, p := range got.Problems {
				said = append(said, p.What)
			}
			if got.Works != c.works || c.says != "" && !strings.Contains(strings.Join(said, ";"), c.says) || c.says == "" && len(said) > 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWhereThereIsNoEngine(t *testing.T) {
	root := t.TempDir()
	for name, c := range map[string]struct {
		host string
		kind fault.Kind
	}{
		"nobody listens":  {"unix://" + root + "/none.sock", fault.Unavailable},
		"another machine": {"tcp://192.0.2.7:2375", fault.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			d := New(Config{Program: os.Executable, Root: root, Getenv: func(name string) string {
				return map[string]string{"DOCKER_HOST": c.host}[name]
			}})
			caps, err := d.Probe(t.Context())
			if err != nil || caps.Works || len(caps.Problems) != 1 || !caps.Problems[0].Required || caps.Problems[0].Fix == "" {
				t.Errorf("%+v, %v", caps, err)
			}
			if entries, err := d.List(t.Context()); err != nil || len(entries) != 0 {
				t.Errorf("listed %v, %v", entries, err)
			}
			if removed, err := d.Cleanup(t.Context(), func(instance.ID) bool { return false }); err != nil || len(removed.Items) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
			p := &plan.Plan{ID: instance.New("api"), Paths: plan.Paths{Home: root + "/h", Run: root + "/r", Audit: root + "/a", Proposals: root + "/s/p"}}
			if _, err := d.Prepare(t.Context(), p); !fault.Is(err, c.kind) {
				t.Errorf("Prepare: %v", err)
			}
			if _, err := os.Stat(p.Paths.Run); !os.IsNotExist(err) {
				t.Errorf("the run directory is left behind: %v", err)
			}
		})
	}
}

func TestTheImageTagFollowsTheTextAndTheArguments(t *testing.T) {
	base := plan.Image{Dockerfile: "FROM x", Args: map[string]string{"A": "1"}}
	seen := map[string]string{imageTag(base): "the base"}
	for name, i := range map[string]plan.Image{
		"another text":     {Dockerfile: "FROM y", Args: base.Args},
		"another argument": {Dockerfile: "FROM x", Args: map[string]string{"A": "2"}},
		"another name":     {Dockerfile: "FROM x", Args: map[string]string{"B": "1"}},
		"another context":  {Dockerfile: "FROM x", Args: base.Args, Context: "/c"},
	} {
		if same, ok := seen[imageTag(i)]; ok {
			t.Errorf("%s has the tag of %s", name, same)
		}
		seen[imageTag(i)] = name
	}
}

// TestComposesLabels are those by which Compose 2.40 finds the projects, services and volumes that its ls,
// ps, logs, top, stop and down are about; it was run against a bottle.
func TestComposesLabels(t *testing.T) {
	id := instance.New("api")
	const prefix = "com.docker.compose."
	for role, more := range map[string]string{roleAgent: "", roleSidecar: "", roleLink: "", roleGate: "", roleHandover: prefix + "volume"} {
		got := labels("/root", id, role)
		if role == roleHandover {
			got = handover(id, "/root", false).VolumeOptions.Labels
		}
		want := map[string]string{
			prefix + "project": "bot-bottle-" + string(id), prefix + "service": role, prefix + "container-number": "1", prefix + "oneoff": "False",
			prefix + "config-hash": string(id), prefix + "version": "2.0.0", prefix + "project.working_dir": "/root/" + string(id), prefix + "project.config_files": "bot-bottle",
		}
		if more != "" {
			want[more] = role
		}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s of %s is %q, want %q", name, role, got[name], value)
			}
		}
	}
}
