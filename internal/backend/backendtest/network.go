package backendtest

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// network tries, from inside and with bash's own sockets, where connections end.
func (s *suite) network(t *testing.T) {
	b := s.launch(t)
	ask := func(host, port string) string {
		return b.sh("exec timeout 5 bash -c 'exec 3<>/dev/tcp/%s/%s && echo x >&3 && cat <&3'", host, port)
	}
	t.Run("every TCP connection ends at the sidecar with its destination", func(t *testing.T) {
		for _, to := range [][2]string{{"93.184.216.34", "443"}, {"10.0.0.1", "1"}, {"169.254.169.254", "80"}, {"255.255.255.254", "65535"}, {plan.SidecarIPv4, "3128"}} {
			if got, want := ask(to[0], to[1]), "tcp4 "+to[0]+":"+to[1]; got != want {
				t.Errorf("%s: %q", want, got)
			}
		}
		for _, to := range [][2]string{{"2001:db8::1", "443"}, {"fd00:ec2::254", "80"}, {plan.SidecarIPv6, "3128"}} {
			if got, want := ask(to[0], to[1]), "tcp6 ["+to[0]+"]:"+to[1]; got != want {
				t.Errorf("%s: %q", want, got)
			}
		}
	})
	t.Run("TCP to port 53 ends at the resolver", func(t *testing.T) {
		if got := ask("8.8.8.8", "53"); got != "dns-tcp4 8.8.8.8:53" {
			t.Errorf("%q", got)
		}
		if got := ask("2001:4860:4860::8888", "53"); got != "dns-tcp6 [2001:4860:4860::8888]:53" {
			t.Errorf("%q", got)
		}
	})
	t.Run("UDP is rejected at once", func(t *testing.T) {
		for _, to := range []string{"8.8.8.8/443", "8.8.8.8/123", "2001:db8::1/443", "255.255.255.255/9"} {
			exit, _, _ := b.run("", "timeout", "2", "bash", "-c", "exec 3<>/dev/udp/"+to+" && echo x >&3 && cat <&3")
			if exit.Code == 0 || exit.Code == 124 {
				t.Errorf("%s ended with %d", to, exit.Code)
			}
		}
	})
	t.Run("a server of the bottle is not the world over UDP", func(t *testing.T) {
		const script = `import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(("0.0.0.0", 0)); server.settimeout(0.2)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    client.sendto(b"x", ("8.8.8.8", server.getsockname()[1])); server.recv(1); print("arrived")
except OSError: print("rejected")
try: # UDP-Lite, which is neither of the protocols that the rules name
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136); server.bind(("0.0.0.0", 0)); server.settimeout(0.2)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
    client.sendto(b"x", ("8.8.8.8", server.getsockname()[1])); server.recv(1); print("arrived")
except OSError: print("rejected")`
		if out := b.sh("/usr/bin/python3 -c '%s'", script); out != "rejected\nrejected" {
			t.Errorf("%q", out)
		}
	})
	t.Run("names are answered, whoever is asked", func(t *testing.T) {
		out := b.sh("getent hosts nowhere.example; echo $?")
		if out != "2" {
			t.Errorf("getent: %q", out)
		}
		// A query for "a." of type A; the reply's fourth byte ends in the code, 3 for NXDOMAIN.
		for _, resolver := range []string{"9.9.9.9", "2620:fe::fe"} {
			got := b.sh(`timeout 5 bash -c 'exec 3<>/dev/udp/%s/53; printf "\000\001\001\000\000\001\000\000\000\000\000\000\001a\000\000\001\000\001" >&3; head -c 4 <&3 | od -An -tx1'`, resolver)
			if !strings.HasSuffix(got, "3") {
				t.Errorf("%s: %q", resolver, got)
			}
		}
	})
	t.Run("loopback is the bottle's own", func(t *testing.T) {
		const script = `import socket, threading
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.53"), (socket.AF_INET6, "::1")):
    server = socket.socket(family); server.bind((address, 0)); server.listen()
    client = socket.create_connection(server.getsockname()[:2]); client.sendall(b"own")
    peer, _ = server.accept(); assert peer.recv(3) == b"own"
    a = socket.socket(family, socket.SOCK_DGRAM); a.bind((address, 0))
    c = socket.socket(family, socket.SOCK_DGRAM); c.connect(a.getsockname()[:2]); c.send(b"udp")
    data, who = a.recvfrom(3); a.sendto(b"ack", who); assert c.recv(3) == b"ack"
print("ok")`
		if out := b.sh("/usr/bin/python3 -c '%s'", script); out != "ok" {
			t.Errorf("%q", out)
		}
	})
}
