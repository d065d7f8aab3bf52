package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// withDatabase gives the bottle that w.bottle wrote a tcp route to a database.
func (w *world) withDatabase() {
	w.t.Helper()
	bottle := filepath.Join(w.home, "bottles", "work.md")
	text, err := os.ReadFile(bottle)
	check(w.t, err)
	route := "    - host: db.test.example\n      protocol: tcp\n      ports: [5432]\n      connect_to: " + postgres(w.t) + "\n---\n"
	w.file(bottle, strings.TrimSuffix(string(text), "---\n")+route, 0o600)
}

// copyPsql copies the host's psql and the libraries that it needs below root, and says where
// it is there. The engine's image is of the same Debian.
func copyPsql(t *testing.T, root string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if len(found) == 0 {
		need.Require(t, need.Clients, exec.ErrNotFound)
		return ""
	}
	psql := found[len(found)-1]
	out, err := exec.Command("ldd", psql).Output()
	check(t, err)
	files := []string{psql}
	for line := range strings.Lines(string(out)) {
		if _, path, ok := strings.Cut(line, " => "); ok {
			files = append(files, strings.Fields(path)[0])
		}
	}
	for _, from := range files {
		to := filepath.Join(root, filepath.Base(from))
		check(t, os.MkdirAll(filepath.Dir(to), 0o755))
		copyFile(t, from, to)
	}
	return filepath.Base(psql)
}

// A container's agent uses a database by its name, and is refused another host and another port
// at once.
func TestADatabaseIsReachedFromAContainer(t *testing.T) {
	w := newWorld(t, standin.Config{})
	needDocker(t, w)
	image := filepath.Join(w.dir, "image")
	program := "/opt/psql/" + copyPsql(t, filepath.Join(image, "psql"))
	w.file(filepath.Join(image, "Dockerfile"), "FROM "+enginetest.Image+"\nCOPY psql /opt/psql\nCOPY claude /usr/local/bin/claude\n", 0o644)
	w.file(filepath.Join(image, "claude"), "#!/bin/bash\necho running; exec sleep 100000\n", 0o755)
	w.bottle("workspace: copy\nagent_provider: {template: claude, dockerfile: "+filepath.Join(image, "Dockerfile")+"}\n", claude.Host)
	w.withDatabase()
	b, id := w.running()
	defer b.stopped(w, id)
	query := func(host, port string) client {
		return client{script: "PGCONNECT_TIMEOUT=15 LD_LIBRARY_PATH=/opt/psql " + program + " -h " + host + " -p " + port + " -U agent -d app -Atc 'select says'"}
	}
	r, worked := w.inClient(id, query("db.test.example", "5432"), "proxy", "")
	if r.code != 0 || !strings.Contains(r.out, hello) {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	for _, refused := range []struct{ host, port, says string }{
		{"db.evil.example", "5432", "translate host name"},
		{"db.test.example", "5433", "server"},
	} {
		r, took := w.inClient(id, query(refused.host, refused.port), "proxy", "")
		t.Logf("%s:%s: refused within %v", refused.host, refused.port, took)
		if r.code == 0 || took > tooLong(worked) || !strings.Contains(r.out, refused.says) {
			t.Errorf("%s:%s: exit %d after %v\n%s%s", refused.host, refused.port, r.code, took, r.out, r.err)
		}
	}
	if log := w.run("log", id, "--verdict", "deny").out; !strings.Contains(log, "db.evil.example") || !strings.Contains(log, "5433") {
		t.Errorf("the log does not say what was refused:\n%s", log)
	}
}
