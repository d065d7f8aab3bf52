package egress_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s %s auth=%s body=%s", r.Proto, r.Method, r.RequestURI, r.Header.Get("Authorization"), body)
}

func TestAllowedRequestsReachTheUpstreamWithTheRealCredential(t *testing.T) {
	for _, front := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("agent h2=%v upstream h2=%v", front, back), func(t *testing.T) {
				up := newUpstream(t, back, true, echo)
				w := usual(t, up)
				client := w.client(t, front)
				for i := range 3 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://allowed.example/a%2Db?q=1", strings.NewReader("hello"))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer of-the-agent")
					resp, err := client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					got := text(t, resp)
					if want := "POST /a-b?q=1 auth=Bearer " + token() + " body=hello"; !strings.Contains(got, want) {
						t.Fatalf("request %d: %d %q, want %q in it", i, resp.StatusCode, got, want)
					}
					if front && back && !strings.HasPrefix(got, "HTTP/2.0") {
						t.Errorf("not HTTP/2 to the upstream: %s", got)
					}
				}
			})
		}
	}
}

func TestRefusalTellsWhatIsMissing(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	for _, h2 := range []bool{false, true} {
		resp := get(t, w.client(t, h2), "https://evil.example/x?secret=1")
		var r egress.Refusal
		if err := json.Unmarshal([]byte(text(t, resp)), &r); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusForbidden || r.Layer != "egress" || r.Host != "evil.example" || r.Port != 443 || r.Method != http.MethodGet || r.Path != "/x" ||
			!strings.Contains(r.RuleMissing, "evil.example") || r.Guidance == "" || len(r.NextSteps) == 0 || !r.Approvable {
			t.Errorf("h2=%v: %d %+v", h2, resp.StatusCode, r)
		}
	}
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func TestInternalPages(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	direct := netip.AddrPort{}
	own := netip.MustParseAddrPort("198.18.0.1:80")
	for _, c := range []struct {
		name   string
		dst    netip.AddrPort
		raw    string
		status int
		want   string
	}{
		{"by the sidecar's address", own, "GET /allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n", 200, `"allowed.example"`},
		{"by the proxy", direct, "GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n", 200, `"allowed.example"`},
		{"by name", w.to(t, "allowed.example", 80), "GET /healthz HTTP/1.1\r\nHost: _egress.local\r\n\r\n", 200, `"ok"`},
		{"an unknown page", own, "GET /nothing HTTP/1.1\r\nHost: _egress.local\r\n\r\n", 404, `"next_steps"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := exchange(w.dial(t, c.dst), c.raw)
			if err != nil {
				t.Fatal(err)
			}
			got := text(t, resp)
			if resp.StatusCode != c.status || !strings.Contains(got, c.want) {
				t.Errorf("%d %s", resp.StatusCode, got)
			}
			if strings.Contains(got, "GH") || strings.Contains(got, token()) || strings.Contains(got, "127.0.0.1") {
				t.Errorf("the page tells too much: %s", got)
			}
		})
	}
}

func TestExplicitProxy(t *testing.T) {
	up := newUpstream(t, false, true, echo)
	w := usual(t, up)
	conn := w.dial(t, netip.AddrPort{})
	resp, err := exchange(conn, "CONNECT allowed.example:443 HTTP/1.1\r\nHost: allowed.example:443\r\n\r\n")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	secured, err := w.secure(conn, "allowed.example")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // kept alive
		resp, err = exchange(secured, "GET /p HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, resp); !strings.Contains(got, "GET /p auth=Bearer "+token()) {
			t.Fatal(got)
		}
	}
	for _, host := range []string{"other.example:443", "allowed.example:80"} {
		resp, err = exchange(w.dial(t, netip.AddrPort{}), "CONNECT allowed.example:443 HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
			t.Fatal(host, resp, err)
		}
	}
	resp, err = exchange(w.dial(t, netip.AddrPort{}), "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n")
	if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(text(t, resp), `"rule_missing"`) {
		t.Fatal(resp, err)
	}
}
