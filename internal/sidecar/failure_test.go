package sidecar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"syscall"
)

func TestEndsWithItsOwner(t *testing.T) {
	for what, prepare := range map[string]func(*testing.T) *rig{
		"before it is configured": func(t *testing.T) *rig { return start(t) },
		"while it serves": func(t *testing.T) *rig {
			r, _ := configured(t)
			return r
		},
		"while it waits for the listeners": func(t *testing.T) *rig {
			r := start(t)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := r.client.Configure(ctx, config(upstream(t)), secrets()); err == nil {
				t.Error("it is ready without listeners")
			}
			return r
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := prepare(t)
			began := time.Now()
			r.conn.Close()
			code := r.ends(t)
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if what == "while it waits for the listeners" {
				return // the configuration failed
			}
			if code != 0 {
				t.Errorf("exit %d, %s", code, r.stderr)
			}
		})
	}
}

func TestABadConfigurationIsAnErrorAndTheEnd(t *testing.T) {
	addr, ca := upstream(t)
	for what, change := range map[string]func(*sidecar.Config, map[string]secret.String){
		"a bad identity":           func(c *sidecar.Config, _ map[string]secret.String) { c.ID = "../../etc" },
		"a bad route":              func(c *sidecar.Config, _ map[string]secret.String) { c.Egress.Routes[0].Host = "no host" },
		"a missing value":          func(_ *sidecar.Config, s map[string]secret.String) { delete(s, "UPSTREAM_TOKEN") },
		"an empty value":           func(_ *sidecar.Config, s map[string]secret.String) { s["UPSTREAM_TOKEN"] = secret.New("") },
		"a value nobody named":     func(_ *sidecar.Config, s map[string]secret.String) { s["OTHER"] = secret.New("x") },
		"a credential nobody gave": func(c *sidecar.Config, _ map[string]secret.String) { c.Egress.Routes[0].Auth.TokenRef = "OTHER" },
		"a proxy nobody gave":      func(c *sidecar.Config, _ map[string]secret.String) { c.Egress.UpstreamProxy = "HTTPS_PROXY" },
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t)
			r.hand(t)
			c, s := config(addr, ca), secrets()
			change(&c, s)
			_, err := r.client.Configure(t.Context(), c, s)
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v, want a fault of kind Invalid", err)
			}
			if code := r.ends(t); code != 1 || strings.Contains(r.stderr.String()+err.Error(), token()) {
				t.Errorf("exit %d, %s", code, r.stderr)
			}
		})
	}
}

func TestBadListenersAreAnErrorAndTheEnd(t *testing.T) {
	for what, change := range map[string]func(*rig){
		"an unknown name":       func(r *rig) { r.names[1] = "other" },
		"a name twice":          func(r *rig) { r.names[2] = r.names[0] },
		"more names":            func(r *rig) { r.names = append(r.names, sidecar.ListenTCP6) },
		"fewer names":           func(r *rig) { r.names = r.names[:2] },
		"a socket of this name": func(r *rig) { r.names[0], r.names[1] = r.names[1], r.names[0] },
		"no way in for TCP":     func(r *rig) { r.names, r.sockets = r.names[1:], r.sockets[1:] },
		"another family":        func(r *rig) { r.names[0] = sidecar.ListenTCP6 },
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t)
			change(r)
			r.hand(t)
			if _, err := r.client.Configure(t.Context(), config(upstream(t)), secrets()); err == nil {
				t.Error("it is ready")
			}
			if code := r.ends(t); code != 1 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

func TestAFullDiskEndsIt(t *testing.T) {
	r := startWith(t, func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY|os.O_APPEND, 0) })
	r.hand(t)
	_, _ = r.client.Configure(t.Context(), config(upstream(t)), secrets()) // it may end before it answers
	if code := r.ends(t); code != 1 || !strings.Contains(r.stderr.String(), "no space left") {
		t.Errorf("exit %d, %s", code, r.stderr)
	}
}

func TestALogThatIsNotForAppendingIsRefused(t *testing.T) {
	r := startWith(t, func(path string) (*os.File, error) { return os.Create(path) })
	if code := r.ends(t); code != 1 || !strings.Contains(r.stderr.String(), "appending") {
		t.Errorf("exit %d, %s", code, r.stderr)
	}
}

func TestRefusesArguments(t *testing.T) {
	r := start(t, "--debug")
	if code := r.ends(t); code != 1 {
		t.Errorf("exit %d", code)
	}
}

func TestBrokenProtocol(t *testing.T) {
	for what, line := range map[string]string{
		"no JSON":          "hello\n",
		"an unknown field": `{"id":1,"method":"stats","extra":1}` + "\n",
		"a second value":   `{"id":1,"method":"stats"} {}` + "\n",
	} {
		t.Run(what, func(t *testing.T) {
			r, _ := configured(t)
			conn := must[net.Conn](t)(net.Dial("unix", r.status))
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(deadline))
			if _, err := conn.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			var response control.Response
			if err := json.NewDecoder(conn).Decode(&response); err != nil || response.Error == nil || response.Error.Kind != fault.Invalid {
				t.Errorf("got %+v, %v", response, err)
			}
		})
	}
	t.Run("a line without end ends only that connection", func(t *testing.T) {
		r, _ := configured(t)
		conn := must[net.Conn](t)(net.Dial("unix", r.status))
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(deadline))
		_, err := conn.Write(make([]byte, control.MaxMessage+1<<20))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
			t.Errorf("the connection stays: %v", err)
		}
		if _, err := r.client.Stats(t.Context()); err != nil {
			t.Errorf("the owner is gone, too: %v", err)
		}
	})
}

// TestStatusRefusesOtherUsers needs root to become somebody else.
func TestStatusRefusesOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Require(t, need.Root, errors.New("this is an ordinary user, who cannot become another"))
	}
	r, _ := configured(t)
	if err := os.Chmod(r.status, 0o777); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(r.status); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for uid, want := range map[uint32]string{0: "result", 65534: "nothing"} {
		cmd := exec.Command("/proc/self/exe", "ask-status", r.status)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("user %d gets %q, %v; want %q", uid, out, err, want)
		}
	}
}

// askStatus is what the other user runs.
func askStatus(path string) int {
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Print(err)
		return 1
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	_, _ = conn.Write([]byte(`{"id":1,"method":"routes"}` + "\n"))
	var response control.Response
	if json.NewDecoder(conn).Decode(&response) != nil || response.Result == nil {
		fmt.Print("nothing")
		return 0
	}
	var live control.Live
	if json.Unmarshal(response.Result, &live) == nil && len(live.Egress.Routes) == 1 {
		fmt.Print("result")
	}
	return 0
}

// TestOrdinaryUser runs the whole vertical again without any privilege.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // then every other test is that one
	}
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "TestOneWayOut|TestEndsWithItsOwner", "-test.v")
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOneWayOut") {
		t.Errorf("%v\n%s", err, out)
	}
}
