package egress_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// threat is one line of the threat model as a request that must not reach the upstream.
type threat struct {
	line   string // what the threat model calls it
	status int    // 0: any refusal, also a closed connection
	want   string // in the body, where there is a status
	only   func(way) bool
	attempt
}

func overTLS(w way) bool   { return w.tls }
func overHTTP1(w way) bool { return w.h1 }
func inTheClear(w way) bool {
	return !w.tls
}
func byTheProxy(w way) bool {
	return w.name == "CONNECT" || w.name == "absolute form" || w.name == "SOCKS5"
}
func transparently(w way) bool { return strings.HasPrefix(w.name, "transparent") || !w.h1 }

// lookups records who was looked up.
type lookups struct {
	hosts
	mu    sync.Mutex // guards asked
	asked []string
}

func (l *lookups) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	l.mu.Lock()
	l.asked = append(l.asked, host)
	l.mu.Unlock()
	return l.hosts.LookupNetIP(ctx, network, host)
}

// TestThreats tries every threat by every way in; the upstream must see nothing, and no name
// that is refused may be looked up. It covers the lines of "Names, DNS, addresses" and of
// "TLS and HTTP" whose defence is a refusal.
func TestThreats(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	plain := newUpstream(t, false, false, echo)
	resolver := &lookups{hosts: hosts{}}
	w := newWorld(t, setup{
		names:    names{"allowed.example", "other.example", "evil.example", "limited.example", "api.limited.example", "lost.example", "inside.example", "metadata.example", "mapped.example", "six.example", "clear.example", "named.example", "broken.example", "tometadata.example"},
		set:      threatPolicy(t, up, plain, resolver.hosts),
		tokens:   tokens{"GH": token(), "BROKEN": "a\r\nX: y"},
		resolver: resolver,
		own:      []netip.Addr{netip.MustParseAddr("8.8.4.4")},
	})
	for _, th := range threats() {
		for _, way := range ways() {
			if th.only != nil && !th.only(way) {
				continue
			}
			t.Run(th.line+"/"+way.name, func(t *testing.T) {
				got := way.send(t, w, th.attempt)
				if got.status != 0 && (got.status < 400 || got.status == 502 || got.status == 504) {
					t.Errorf("answered %d: %s", got.status, got.body)
				}
				if th.status != 0 && got.reply != socksDenied && (got.status != th.status || !strings.Contains(got.body, th.want)) {
					t.Errorf("answered %d %s, want %d with %q", got.status, got.body, th.status, th.want)
				}
				if got.status != 0 && !strings.Contains(got.body, `"layer"`) {
					t.Errorf("not the proxy answered: %d %s", got.status, got.body)
				}
				if n := len(up.requests()) + len(plain.requests()); n != 0 {
					t.Fatalf("the upstream saw %d requests", n)
				}
			})
		}
	}
	for _, host := range resolver.asked {
		if _, ok := resolver.hosts[host]; !ok {
			t.Errorf("%s was looked up", host)
		}
	}
}

func threatPolicy(t *testing.T, up, plain *upstream, resolve hosts) policy.Set {
	t.Helper()
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for host, addr := range map[string]string{
		"inside.example": "10.0.0.1", "metadata.example": "169.254.169.254", "mapped.example": "::ffff:127.0.0.1",
		"six.example": "64:ff9b::a9fe:a9fe", "clear.example": "127.0.0.1", "named.example": "8.8.4.4",
	} {
		resolve[host] = []netip.Addr{netip.MustParseAddr(addr)}
	}
	auth := &policy.Auth{Scheme: "Bearer", TokenRef: "GH"}
	port := netip.MustParseAddrPort(plain.address()).Port()
	limited := []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/ok/"}}, Methods: []string{"GET"}}}
	return policy.Set{Routes: []policy.Route{
		{Host: "allowed.example", ConnectTo: up.address(), Auth: auth},
		{Host: "other.example", ConnectTo: up.address()},
		{Host: "limited.example", ConnectTo: up.address(), Matches: limited},
		{Host: "*.limited.example", ConnectTo: up.address(), Matches: limited},
		{Host: "lost.example", ConnectTo: up.address(), Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "MISSING"}},
		{Host: "broken.example", ConnectTo: up.address(), Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "BROKEN"}},
		{Host: "tometadata.example", ConnectTo: "169.254.169.254:80"},
		{Host: "inside.example"},
		{Host: "named.example"},
		{Host: "mapped.example"},
		{Host: "metadata.example", AllowPrivate: everything},
		{Host: "six.example", AllowPrivate: everything},
		{Host: "clear.example", AllowPrivate: everything, Ports: []uint16{port, 80, 443}, Auth: auth},
	}}
}

func threats() []threat {
	all := append(nameThreats(), agreementThreats()...)
	all = append(all, pathThreats()...)
	all = append(all, methodThreats()...)
	all = append(all, desyncThreats()...)
	return append(all, addressThreats()...)
}

func nameThreats() []threat {
	list := []threat{
		{line: "a denied host", status: 403, want: `"rule_missing"`, attempt: attempt{connect: "evil.example"}},
		{line: "a denied port", status: 403, want: "port", attempt: attempt{connect: "allowed.example", port: 8443}},
		{line: "NUL in a host", only: overHTTP1, attempt: attempt{connect: "allowed.example", host: "evil.example\x00.allowed.example"}},
		{line: "a control byte in a host", only: overHTTP1, attempt: attempt{connect: "allowed.example", host: "allowed.example\x01"}},
		{line: "an empty label", attempt: attempt{connect: "allowed.example", host: "allowed..example"}},
		{line: "userinfo in a host", attempt: attempt{connect: "allowed.example", host: "allowed.example@evil.example"}},
		{line: "IDN that looks alike", attempt: attempt{connect: "allowed.example", host: "аllowed.example"}},
		{line: "the host's own name", status: 403, attempt: attempt{connect: "host.docker.internal", sni: "host.docker.internal"}, only: byTheProxy},
	}
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "127.0.0.1.", "EVIL.example.", "[::ffff:127.0.0.1]", "[::1%25lo]", "169.254.169.254", "0xa9fea9fe"} {
		list = append(list, threat{line: "a host spelled " + host, attempt: attempt{connect: "allowed.example", host: host}})
		list = append(list, threat{
			line: "a connection to " + host, only: byTheProxy,
			attempt: attempt{connect: host, host: host, sni: "-"},
		})
	}
	return list
}

func agreementThreats() []threat {
	return []threat{
		{line: "fronting: SNI is not Host", status: 421, want: "misdirected", attempt: attempt{connect: "allowed.example", host: "other.example"}},
		{line: "Host with another port", status: 421, attempt: attempt{connect: "allowed.example", host: "allowed.example:8080"}},
		{line: "SNI is not the connection's name", status: 421, only: overTLS, attempt: attempt{connect: "allowed.example", sni: "other.example", host: "other.example"}},
		{line: "SNI is not the connection's name, Host is", status: 421, only: overTLS, attempt: attempt{connect: "allowed.example", sni: "other.example", host: "allowed.example"}},
		{line: "an allowed SNI to an attacker's address", attempt: attempt{connect: "203.0.113.9", sni: "allowed.example", host: "allowed.example"}},
		{line: "no SNI, an attacker's address", attempt: attempt{connect: "203.0.113.9", sni: "-", host: "allowed.example"}},
		{line: "TLS to a bare address", status: 403, only: transparently, attempt: attempt{connect: "203.0.113.9", sni: "-"}},
		{line: "a synthetic address that nobody was given", attempt: attempt{connect: "198.18.77.77", sni: "allowed.example", host: "allowed.example"}},
		{line: "two Hosts", only: overHTTP1, attempt: attempt{connect: "allowed.example", header: []string{"Host: other.example"}}},
		{line: "Host beside :authority", only: func(w way) bool { return !w.h1 }, attempt: attempt{connect: "allowed.example", header: []string{"host: other.example"}}},
	}
}

func pathThreats() []threat {
	var list []threat
	for _, target := range []string{
		"/a/../b", "/%2e%2e/b", "/.%2E/b", "/a/..;/b", "/a/./b", `/a\..\b`, "/a%00b", "/a%0d%0aX:y", "/%zz", "/a%", "/a#b", "/a%2f..%2fb", "/a%5c..%5cb", "/%252e%252e/b", "/?q=%00", "/?q=%2",
	} {
		list = append(list, threat{line: "path " + target, attempt: attempt{connect: "allowed.example", target: target}})
	}
	for _, target := range []string{
		"/no", "/ok", "/OK/x", "/ok//x", "/ok/%2fx", "/ok/x;y", "/ok/%3bx", "/ok/%255cx", "/ok/%c0%ae", "//ok/x", "/ok/x%3Fy", "/ok/%23",
	} {
		for _, host := range []string{"limited.example", "api.limited.example"} {
			list = append(list, threat{line: "limited path " + target + " of " + host, status: 403, attempt: attempt{connect: host, target: target}})
		}
	}
	list = append(list,
		threat{line: "an absolute target inside", only: func(w way) bool { return w.h1 && w.name != "absolute form" }, attempt: attempt{connect: "allowed.example", target: "http://evil.example/"}},
		threat{line: "a target of two words", only: overHTTP1, attempt: attempt{connect: "allowed.example", target: "/a b"}},
	)
	return list
}

func methodThreats() []threat {
	list := []threat{
		{line: "a method that no match names", status: 403, want: "method", attempt: attempt{connect: "limited.example", target: "/ok/x", method: "DELETE"}},
		{line: "TRACE", status: 403, attempt: attempt{connect: "allowed.example", method: "TRACE"}},
		{line: "CONNECT inside", only: func(w way) bool { return w.name != "absolute form" }, attempt: attempt{connect: "allowed.example", method: "CONNECT", target: "evil.example:443"}},
		{line: "git push", status: 403, want: "git-gate", attempt: attempt{connect: "allowed.example", method: "POST", target: "/a/b.git/git-receive-pack", header: []string{"Content-Length: 0"}}},
		{line: "git push discovery", status: 403, want: "git-gate", attempt: attempt{connect: "allowed.example", target: "/a/b/info/refs?service=git%2Dreceive-pack"}},
		{line: "git fetch", status: 403, want: "git", attempt: attempt{connect: "allowed.example", target: "/a/b/info/refs?service=git-upload-pack"}},
		{line: "h2 prior knowledge", only: inTheClear, attempt: attempt{connect: "other.example", method: "PRI", target: "*"}},
		{line: "a token that cannot be resolved", status: 403, want: "credentials", attempt: attempt{connect: "lost.example"}, only: overTLS},
		{line: "a token with a line break", status: 403, want: "credentials", attempt: attempt{connect: "broken.example"}, only: overTLS},
		{line: "connect_to names a metadata address", status: 403, want: "metadata", attempt: attempt{connect: "tometadata.example"}},
		{line: "a credential in the clear", status: 403, want: "credentials", attempt: attempt{connect: "clear.example", port: 80}, only: inTheClear},
	}
	return list
}

func desyncThreats() []threat {
	chunked := "Transfer-Encoding: chunked"
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: allowed.example\r\n\r\n"
	var list []threat
	for line, a := range map[string]attempt{
		"CL and TE":              {header: []string{"Content-Length: 4", chunked}, body: "0\r\n\r\n" + smuggled},
		"duplicate CL":           {header: []string{"Content-Length: 3", "Content-Length: 3"}, body: "abc"},
		"two CL that differ":     {header: []string{"Content-Length: 0", "Content-Length: 3"}, body: "abc"},
		"a list as CL":           {header: []string{"Content-Length: 0, 52"}, body: smuggled},
		"a signed CL":            {header: []string{"Content-Length: +3"}, body: "abc"},
		"two TE":                 {header: []string{chunked, chunked}, body: "0\r\n\r\n"},
		"an unknown TE":          {header: []string{"Transfer-Encoding: xchunked"}, body: "0\r\n\r\n"},
		"TE spelled with _":      {header: []string{"Transfer_Encoding: chunked"}, body: "0\r\n\r\n"},
		"a folded line":          {header: []string{"X-A: b", " folded: c"}},
		"a space before colon":   {header: []string{"X-A : b"}},
		"no colon":               {header: []string{"X-A"}},
		"bare LF":                {header: []string{"X-A: b\nX-B: c"}},
		"bare CR":                {header: []string{"X-A: b\rX-B: c"}},
		"NUL in a value":         {header: []string{"X-A: b\x00"}},
		"a huge head":            {header: []string{"X-A: " + strings.Repeat("a", 80<<10)}},
		"too many fields":        {header: strings.Split(strings.TrimSuffix(strings.Repeat("X-A: b\n", 300), "\n"), "\n")},
		"an unknown expectation": {header: []string{"Expect: 200-ok"}},
	} {
		a.connect, a.method = "other.example", "POST"
		list = append(list, threat{line: line, only: overHTTP1, attempt: a})
	}
	return list
}

func addressThreats() []threat {
	var list []threat
	for host, want := range map[string]string{
		"inside.example": "private", "named.example": "own interface", "mapped.example": "loopback", "metadata.example": "metadata", "six.example": "metadata",
	} {
		list = append(list, threat{line: fmt.Sprintf("%s resolves to a %s address", host, want), status: 403, want: want, attempt: attempt{connect: host}})
	}
	return list
}
