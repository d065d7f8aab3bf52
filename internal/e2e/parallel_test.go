package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// neighbour is an agent that opens what others could see, waits until all have, and then looks
// for theirs. $1… is the provider's command line, whose task is the agent's number.
const neighbour = `
number=${@: -1}
echo "number $number"
echo "secret-of-$number" | tee ~/marker /tmp/marker /dev/shm/marker ~/workspace/marker >/dev/null
exec python3 - "$number" <<'PYTHON'
import glob, os, socket, sys, threading, urllib.request
number = sys.argv[1]
port = 41000 + int(number)
def serve(s):
    while True:
        c, _ = s.accept()
        c.sendall(b"secret-of-" + number.encode()); c.close()
listeners = []
for family, address in ((socket.AF_INET, ("0.0.0.0", port)), (socket.AF_INET6, ("::", port + 1000)),
                        (socket.AF_UNIX, "\0abstract-" + number), (socket.AF_UNIX, "/tmp/socket-" + number)):
    s = socket.socket(family); s.bind(address); s.listen()
    threading.Thread(target=serve, args=(s,), daemon=True).start()

# All meet at the upstream, which answers when the last has come.
print("meeting", urllib.request.urlopen("https://meet.example.org/" + number).read().decode(), flush=True)

def knock(family, address):
    s = socket.socket(family); s.settimeout(5)
    try:
        s.connect(address)
        return s.recv(100).decode(errors="replace")
    except OSError as e:
        return "refused"
    finally:
        s.close()

assert knock(socket.AF_INET, ("127.0.0.1", port)) == "secret-of-" + number
assert knock(socket.AF_UNIX, "\0abstract-" + number) == "secret-of-" + number
for other in range(COUNT):
    if str(other) == number:
        continue
    for family, address in ((socket.AF_INET, ("127.0.0.1", 41000 + other)), (socket.AF_INET, ("127.0.0.2", 41000 + other)),
                            (socket.AF_INET6, ("::1", 42000 + other)),
                            (socket.AF_UNIX, "\0abstract-%d" % other), (socket.AF_UNIX, "/tmp/socket-%d" % other)):
        got = knock(family, address)
        if "secret-of" in got:
            print("SAW", address, got)
got = knock(socket.AF_INET, ("10.0.0.1", 41000 + (int(number) + 1) % COUNT)) # any address leads to the sidecar
if "secret-of" in got:
    print("SAW", got)
for pid in glob.glob("/proc/[0-9]*"):
    try:
        line = open(pid + "/cmdline").read().replace("\0", " ")
        print("process", line[:60])
    except OSError:
        pass
for pattern in ("/home/*/marker", "/tmp/marker*", "/dev/shm/*", "/home/node/workspace/*"):
    for f in glob.glob(pattern):
        text = open(f).read().strip()
        if text != "secret-of-" + number:
            print("SAW", f, text)
bundle = open(os.environ["SSL_CERT_FILE"]).read()
print("authority", bundle[-120:].replace("\n", "").strip())
print("done", flush=True)
sys.exit(int(number))
PYTHON
`

// newMeeting answers when as many have asked as are invited.
func newMeeting(invited int) http.Handler {
	var mu sync.Mutex // guards came
	came, full := 0, make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if came++; came == invited {
			close(full)
		}
		mu.Unlock()
		select {
		case <-full:
			_, _ = fmt.Fprintln(w, "all are here")
		case <-r.Context().Done():
		}
	})
}

func TestTwentyBottlesAtOnceDoNotMeet(t *testing.T) {
	needNative(t)
	const count = 20
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{"meet.example.org": newMeeting(count)}})
	w.bottle("workspace: copy\n", claude.Host, "meet.example.org")
	w.agent(strings.ReplaceAll(neighbour, "COUNT", fmt.Sprint(count)))
	all := make([]*background, count)
	for i := range all {
		all[i] = w.spawn(w.command(t.Context(), append(startArgs, fmt.Sprint(i))...))
	}
	authorities, identities := map[string]bool{}, map[string]bool{}
	for i, b := range all {
		r := b.wait()
		if r.code != i || !strings.Contains(r.out, "done\n") || strings.Contains(r.out, "SAW") {
			t.Errorf("%d: exit %d\n%s\n%s", i, r.code, r.out, r.err)
			continue
		}
		authority := line(r.out, "authority ")
		if authority == "" || authorities[authority] {
			t.Errorf("%d has the authority of another: %q", i, authority)
		}
		authorities[authority] = true
		for l := range strings.Lines(r.out) {
			if p, ok := strings.CutPrefix(l, "process "); ok && !mine(p) {
				t.Errorf("%d sees a process that is not its own: %q", i, p)
			}
		}
		if n := strings.Count(r.out, "\nprocess "); n != 2 { // its init and itself
			t.Errorf("%d sees %d processes", i, n)
		}
		if i > 0 {
			identities[r.kept(t)] = true
		}
	}
	rows := w.list()
	for _, r := range rows {
		if r.State != "kept" {
			t.Errorf("%+v", r)
		}
	}
	if len(rows) != count || len(identities) != count-1 { // the one that ended with 0 left a changed workspace
		t.Errorf("%d are kept, of %d identities", len(rows), len(identities))
	}
	w.dead(nil)
	w.clean("--preserved")
	w.nothingIsLeft(nil)
}

// mine tells what an agent of this test may see: its init, itself.
func mine(argv string) bool {
	return strings.HasPrefix(argv, "python3 -") || strings.HasPrefix(argv, "bot-bottle:")
}

// line returns the rest of the line that begins with prefix.
func line(text, prefix string) string {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
