package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// The internal network of these tests, and the host's address on it.
const (
	subnet  = "10.231.77.0/24"
	gateway = "10.231.77.1"
)

// neighbourhood is what an engine's own network would bring near a bottle: the host's end of it
// with a resolver and a service, and another container with a service.
type neighbourhood struct {
	mu    sync.Mutex // guards asked and called
	asked []string
	calls int

	neighbour string        // the other container's address
	control   chan struct{} // closed when the other container's query came
}

func (n *neighbourhood) seen() (string, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.asked, " "), n.calls
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newNeighbourhood(t *testing.T) *neighbourhood {
	t.Helper()
	getenv(t)
	e, n := shared.engine, &neighbourhood{control: make(chan struct{})}
	name := "bot-bottle-test-internal"
	_ = e.Call(limited(t), http.MethodDelete, "/networks/"+name, nil, nil)
	must(t, e.Call(limited(t), http.MethodPost, "/networks/create", map[string]any{
		"Name": name, "Internal": true, "CheckDuplicate": true,
		"IPAM": map[string]any{"Config": []map[string]string{{"Subnet": subnet, "Gateway": gateway}}},
	}, nil))
	t.Cleanup(func() { must(t, e.Call(limited(t), http.MethodDelete, "/networks/"+name, nil, nil)) })
	n.listen(t)
	id := n.contain(t, name)
	var found struct {
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	must(t, e.Call(limited(t), http.MethodGet, "/containers/"+id+"/json", nil, &found))
	n.neighbour = found.NetworkSettings.Networks[name].IPAddress
	return n
}

// contain starts the other container. It asks the engine's embedded resolver for a name, which
// shows what that does on an internal network, and then serves.
func (n *neighbourhood) contain(t *testing.T, network string) string {
	t.Helper()
	e := shared.engine
	var made struct{ ID string }
	const script = `getent hosts control.leak.example; exec python3 -m http.server 8080`
	must(t, e.Call(limited(t), http.MethodPost, "/containers/create", map[string]any{
		"Image": enginetest.Image, "Cmd": []string{"sh", "-c", script},
		"HostConfig": map[string]any{"NetworkMode": network, "Dns": []string{gateway}},
	}, &made))
	t.Cleanup(func() { must(t, e.Client.Remove(limited(t), made.ID)) })
	must(t, e.Client.Start(limited(t), made.ID))
	return made.ID
}

// listen takes note of every query and call that reaches the host's end.
func (n *neighbourhood) listen(t *testing.T) {
	t.Helper()
	dns, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", gateway+":53")
	must(t, err)
	web, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", gateway+":8080")
	must(t, err)
	t.Cleanup(func() { _ = dns.Close(); _ = web.Close() })
	go func() {
		came := sync.OnceFunc(func() { close(n.control) })
		buf := make([]byte, 1500)
		for {
			size, from, err := dns.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:size]) != nil || len(m.Questions) == 0 {
				continue
			}
			n.mu.Lock()
			n.asked = append(n.asked, m.Questions[0].Name.String())
			n.mu.Unlock()
			if m.Questions[0].Name.String() == "control.leak.example." {
				came()
			}
			m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
			if reply, err := m.Pack(); err == nil {
				_, _ = dns.WriteTo(reply, from)
			}
		}
	}()
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			n.calls++
			n.mu.Unlock()
			_ = c.Close()
		}
	}()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opener makes a driver for one of the runtimes.
type opener func(t *testing.T, root string) backend.Driver

// each runs a test for each runtime that holds an agent.
func each(t *testing.T, test func(t *testing.T, open opener, sandboxed bool)) {
	t.Run("runc", func(t *testing.T) { test(t, open, false) })
	t.Run("runsc", func(t *testing.T) {
		needRunsc(t)
		test(t, openRunsc, true)
	})
}

// live is a launched bottle.
type live struct {
	t *testing.T
	d backend.Driver
	h backend.Handle
	p *plan.Plan
}

func launch(t *testing.T, open opener, edit ...func(*plan.Plan)) *live {
	t.Helper()
	root := t.TempDir()
	b := &live{t: t, d: open(t, root), p: backendtest.Plan(root)}
	for _, e := range edit {
		e(b.p)
	}
	var err error
	b.h, err = b.d.Prepare(limited(t), b.p)
	must(t, err)
	t.Cleanup(func() { must(t, b.d.Teardown(limited(t), b.h)) })
	_, err = b.d.Launch(limited(t), b.h)
	must(t, err)
	return b
}

func (b *live) sh(script string) string {
	b.t.Helper()
	var out bytes.Buffer
	_, err := b.d.Exec(limited(b.t), b.h, backend.Command{
		Args: []string{"bash", "-c", script}, Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + plan.Home},
	}, backend.Stdio{Out: &out, Err: &out})
	must(b.t, err)
	return strings.TrimSpace(out.String())
}

// query is bash for a DNS query of type A over UDP; it prints the reply's code.
func query(server, name string) string {
	var q strings.Builder
	for label := range strings.SplitSeq(name, ".") {
		fmt.Fprintf(&q, `\%03o%s`, len(label), label)
	}
	return fmt.Sprintf(`timeout 3 bash -c 'exec 3<>/dev/udp/%s/53; printf "\000\001\001\000\000\001\000\000\000\000\000\000%s\000\000\001\000\001" >&3; head -c 4 <&3 | od -An -tx1' 2>&1; true`, server, q.String())
}

// TestNoQueryLeavesABottle first shows that the trap works and that this engine forwards queries
// even from an internal network, and then that none of a bottle's reaches it.
func TestNoQueryLeavesABottle(t *testing.T) {
	n := newNeighbourhood(t)
	select {
	case <-n.control:
	case <-time.After(30 * time.Second):
		t.Fatal("the trap caught nothing: the control's query did not come")
	}
	each(t, func(t *testing.T, open opener, _ bool) { noQueryLeaves(t, n, launch(t, open)) })
}

func noQueryLeaves(t *testing.T, n *neighbourhood, b *live) {
	t.Helper()
	for _, server := range []string{"127.0.0.11", gateway, n.neighbour, "8.8.8.8", plan.SidecarIPv4, "[::1]", "2620:fe::fe"} {
		out := b.sh(query(strings.Trim(server, "[]"), "bottle.leak.example"))
		if strings.HasPrefix(server, "127.") || server == "[::1]" {
			if !strings.Contains(out, "refused") { // loopback is the bottle's own, and nobody listens
				t.Errorf("%s: %q", server, out)
			}
		} else if !strings.HasSuffix(out, "3") { // NXDOMAIN, from the sidecar
			t.Errorf("%s: %q", server, out)
		}
	}
	b.sh("getent hosts bottle.leak.example host.docker.internal gateway.docker.internal; python3 -c 'import socket; socket.getaddrinfo(\"bottle.leak.example\", 80)'; true")
	if out := b.sh("cat /etc/resolv.conf"); strings.Contains(out, "127.0.0.11") || !strings.Contains(out, "nameserver "+plan.SidecarIPv4) {
		t.Errorf("its resolver: %q", out)
	}
	if asked, _ := n.seen(); strings.Contains(asked, "bottle.leak") {
		t.Errorf("queries left: %s", asked)
	}
}

func TestNeighboursAreOutOfReach(t *testing.T) {
	n := newNeighbourhood(t)
	each(t, func(t *testing.T, open opener, sandboxed bool) { outOfReach(t, n, launch(t, open), sandboxed) })
}

func outOfReach(t *testing.T, n *neighbourhood, b *live, sandboxed bool) {
	t.Helper()
	for _, to := range []string{n.neighbour + "/8080", gateway + "/8080", "172.17.0.1/2375", "169.254.169.254/80", "10.0.0.1/22"} {
		out := b.sh(fmt.Sprintf("timeout 5 bash -c 'exec 3<>/dev/tcp/%s && echo x >&3 && cat <&3' 2>&1", to))
		if out != "tcp4 "+strings.Replace(to, "/", ":", 1) { // it ended at the sidecar
			t.Errorf("%s: %q", to, out)
		}
	}
	if _, calls := n.seen(); calls > 0 {
		t.Errorf("the host got %d calls", calls)
	}
	const routes = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | sort; cat /proc/net/route /proc/net/ipv6_route | grep -v -e Iface -e 'lo$' -e '^lo' | cut -f1 || true"
	want := "lo"
	if sandboxed { // and one to the sidecar's listeners alone
		want = "bottle0\nlo\nbottle0\nbottle0"
	}
	if out := b.sh(routes); out != want {
		t.Errorf("its devices and routes: %q", out)
	}
}

func TestAttacksOnTheEngine(t *testing.T) {
	each(t, func(t *testing.T, open opener, _ bool) { attack(t, launch(t, open)) })
}

func attack(t *testing.T, b *live) {
	t.Helper()
	for name, attack := range map[string]struct{ script, want string }{
		"the docker socket":         {"ls /run/docker.sock /var/run/docker.sock " + shared.engine.Socket + " 2>/dev/null | wc -l", "0"},
		"a raw socket":              {`python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)' 2>&1 | tail -1 | cut -d: -f1`, "PermissionError"},
		"a packet socket":           {`python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)' 2>&1 | tail -1 | cut -d: -f1`, "OSError"},
		"netfilter":                 {`python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)' 2>&1 | tail -1 | cut -d: -f1`, "OSError"},
		"the meeting place":         {"for i in 1 2; do ls -A /.bot-bottle/handover 2>/dev/null; (echo x >/.bot-bottle/handover/listeners) 2>/dev/null && echo written; done; true", ""},
		"the guest's own program":   {"(echo x >> /.bot-bottle/bot-bottle) 2>/dev/null && echo written; /.bot-bottle/bot-bottle guest container 2>&1 | grep -c 'cannot be a guest'", "1"},
		"the streams of init":       {streamsOfInit, ""},
		"a set-user-id program":     {"cp /usr/bin/id ~/id; chmod 4755 ~/id; su -c id 2>/dev/null; ~/id -u", "1000"},
		"the engine's cgroup files": {"for f in $(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name devices.allow 2>/dev/null | head -50); do (echo 1 > $f) 2>/dev/null && echo $f; done; true", ""},
		"the kernel's settings":     {"(echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo written; (echo c > /proc/sysrq-trigger) 2>/dev/null && echo written; true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.sh(attack.script)
			if got != attack.want {
				t.Errorf("%q, want %q", got, attack.want)
			}
		})
	}
}

// streamsOfInit writes to every descriptor of init but the null device, files that are there for
// everybody, and the other ends of its own; and it reads init's memory.
const streamsOfInit = `own=" $(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | tr '\n' ' ')"
for f in /proc/1/fd/*; do
  to=$(readlink $f 2>/dev/null)
  case $to in /dev/null | /sys/fs/*) continue ;; esac
  case $own in *" $to "*) continue ;; esac
  (echo x >$f) 2>/dev/null && echo written to $f: $to
  (timeout 1 head -c 1 <$f) 2>/dev/null && echo read from $f: $to
done
(head -c 1 /proc/1/mem || ls /proc/1/root/ /proc/1/cwd/ || cat /proc/1/exe) 2>/dev/null && echo inside
true`

// TestWhatTheEngineTells: whoever may ask the engine sees how a bottle is made, and no value of it.
func TestWhatTheEngineTells(t *testing.T) { each(t, whatTheEngineTells) }

func whatTheEngineTells(t *testing.T, open opener, sandboxed bool) {
	b, containers := launch(t, open), 2
	if sandboxed {
		containers = 3
	}
	var out bytes.Buffer
	_, err := b.d.Exec(limited(t), b.h, backend.Command{Args: []string{"env"}, Env: []string{"FORWARDED=the-value-of-it"}, Agent: true}, backend.Stdio{Out: &out})
	if err != nil || out.String() != "FORWARDED=the-value-of-it\n" {
		t.Fatalf("%q, %v", out.String(), err)
	}
	found, err := shared.engine.Client.List(limited(t), "bot-bottle.identity="+string(b.p.ID))
	if err != nil || len(found) != containers {
		t.Fatalf("%v, %v", found, err)
	}
	for _, c := range found {
		var raw json.RawMessage
		must(t, shared.engine.Call(limited(t), http.MethodGet, "/containers/"+c.ID+"/json", nil, &raw))
		if strings.Contains(string(raw), "the-value-of-it") {
			t.Errorf("inspecting %v shows it", c.Names)
		}
		role := c.Labels["bot-bottle.role"]
		if c.Labels["com.docker.compose.project"] != "bot-bottle-"+string(b.p.ID) || c.Labels["com.docker.compose.service"] != role {
			t.Errorf("the labels of the %s: %v", role, c.Labels)
		}
		checkHost(t, role, raw, sandboxed)
	}
	_ = filepath.WalkDir(b.p.Paths.State, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), "the-value-of-it") {
				t.Errorf("%s holds it", path)
			}
		}
		return nil
	})
}

// checkHost holds a container against what it may have.
func checkHost(t *testing.T, role string, raw json.RawMessage, sandboxed bool) {
	t.Helper()
	var c struct {
		HostConfig struct {
			CapAdd, CapDrop, SecurityOpt []string
			ReadonlyRootfs, Privileged   bool
			NetworkMode, PidMode         string
			Runtime                      string
			PortBindings                 map[string]any
			PidsLimit, Memory            int64
			LogConfig                    struct{ Type string }
		}
		Mounts []struct{ Source, Destination string }
	}
	must(t, json.Unmarshal(raw, &c))
	h := c.HostConfig
	if !h.ReadonlyRootfs || h.Privileged || h.PidMode != "" || len(h.PortBindings) > 0 || h.PidsLimit <= 0 || h.Memory <= 0 || h.LogConfig.Type != "none" || fmt.Sprint(h.CapDrop, h.SecurityOpt) != "[ALL] [no-new-privileges:true]" {
		t.Errorf("the %s: %+v", role, h)
	}
	network, _, _ := strings.Cut(h.NetworkMode, ":") // of container:ID
	want := map[string]string{
		"agent": "runc none [NET_ADMIN SETUID SETGID SETPCAP]", "sidecar": "runc host []",
		"link": "runc none [NET_ADMIN SETPCAP SYS_ADMIN]",
	}[role]
	if role == "agent" && sandboxed {
		want = "runsc container [SETUID SETGID SETPCAP]"
	}
	if got := fmt.Sprint(h.Runtime, " ", network, " ", h.CapAdd); got != want {
		t.Errorf("the %s has %s, want %s", role, got, want)
	}
	for _, m := range c.Mounts {
		if strings.HasSuffix(m.Source, ".sock") || m.Destination == "/var/run" || m.Source == "/" {
			t.Errorf("the %s has %+v", role, m)
		}
	}
}

func TestNamesAreTakenOneAfterTheOther(t *testing.T) {
	getenv(t)
	root := t.TempDir()
	p := backendtest.Plan(root)
	var made struct{ ID string }
	must(t, shared.engine.Call(limited(t), http.MethodPost, "/containers/create?name=bot-bottle-"+string(p.ID),
		map[string]any{"Image": enginetest.Image, "Cmd": []string{"true"}}, &made))
	t.Cleanup(func() { must(t, shared.engine.Client.Remove(limited(t), made.ID)) })
	d := open(t, root)
	h, err := d.Prepare(limited(t), p)
	must(t, err)
	defer func() { must(t, d.Teardown(limited(t), h)) }()
	entries, err := d.List(limited(t))
	if err != nil || len(entries) != 1 || !strings.Contains(strings.Join(entries[0].What, " "), "container bot-bottle-"+string(p.ID)+"-2 ") {
		t.Errorf("%+v, %v", entries, err)
	}
	if _, err := d.Cleanup(limited(t), func(instance.ID) bool { return false }); err != nil {
		t.Error(err)
	}
	if _, err := shared.engine.Client.List(limited(t)); err != nil {
		t.Error(err)
	}
}

func TestAPinnedNameThatExistsIsAnError(t *testing.T) {
	host := getenv(t)
	root := t.TempDir()
	p := backendtest.Plan(root)
	name := "pinned-" + string(p.ID)
	var made struct{ ID string }
	must(t, shared.engine.Call(limited(t), http.MethodPost, "/containers/create?name="+name,
		map[string]any{"Image": enginetest.Image, "Cmd": []string{"true"}}, &made))
	t.Cleanup(func() { must(t, shared.engine.Client.Remove(limited(t), made.ID)) })
	d := docker.New(docker.Config{Program: os.Executable, Root: root, Image: enginetest.Image, Getenv: func(v string) string {
		if v == "BOT_BOTTLE_CONTAINER" {
			return name
		}
		return host(v)
	}})
	_, err := d.Prepare(limited(t), p)
	if !fault.Is(err, fault.Exists) || !strings.Contains(fault.HintOf(err), "docker rm -f "+name) {
		t.Errorf("%v; hint: %s", err, fault.HintOf(err))
	}
	if entries, err := d.List(limited(t)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if found, err := shared.engine.Client.List(limited(t)); err != nil || !strings.Contains(fmt.Sprint(found), name) {
		t.Errorf("the other's container is gone: %v, %v", found, err)
	}
}

func TestAnImageThatIsNotThereIsNamed(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	p := backendtest.Plan(root)
	p.Image.Ref = "no-such-image:here"
	if _, err := d.Prepare(limited(t), p); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), p.Image.Ref) {
		t.Errorf("%v", err)
	}
	if entries, err := d.List(limited(t)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
