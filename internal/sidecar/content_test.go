package sidecar_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar"
)

// wire is an upstream that keeps every byte that reached it.
type wire struct {
	mu   sync.Mutex
	seen bytes.Buffer
	addr string
	ca   string

	drain bool // bodies are counted, not kept
	bytes atomic.Int64
}

func newWire(t testing.TB, answer http.HandlerFunc) *wire {
	t.Helper()
	w := &wire{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.keep("%s %s\n", r.Method, r.URL.RequestURI())
		for name, values := range r.Header {
			w.keep("%s: %v\n", name, values)
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			w.socket(rw, r)
			return
		}
		if w.drain {
			n, _ := io.Copy(io.Discard, r.Body)
			w.bytes.Add(n)
			return
		}
		body, err := io.ReadAll(r.Body)
		w.keep("%s\n%v %v\n", body, r.Trailer, err)
		if answer != nil {
			answer(rw, r)
			return
		}
		_, _ = io.WriteString(rw, "ok")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	w.addr = server.Listener.Addr().String()
	w.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return w
}

// socket echoes messages.
func (w *wire) socket(rw http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		w.keep("no socket: %v\n", err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		w.keep("%s\n", message)
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func (w *wire) keep(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.seen, format, args...)
}

// take returns what came since it was last asked.
func (w *wire) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.seen.Reset()
	return w.seen.String()
}

// route is the one to w, which nobody puts a credential into.
func (w *wire) route(host string, d policy.DLP) policy.Route {
	return policy.Route{Host: host, ConnectTo: w.addr, UpstreamCA: w.ca, DLP: d}
}

// serving is a sidecar with these routes, and secrets that only have to be recognised.
func serving(t testing.TB, supervise bool, guarded map[string]string, routes ...policy.Route) (*rig, sidecar.Ready) {
	t.Helper()
	r := start(t)
	r.hand(t)
	c := sidecar.Config{ID: "test-abc12", SecretNames: []string{"UPSTREAM_TOKEN"}, Supervise: supervise, Egress: policy.Set{Routes: routes}}
	values := secrets()
	for ref, value := range guarded {
		c.Guarded = append(c.Guarded, ref)
		values[ref] = secret.New(value)
	}
	ready, err := r.client.Configure(t.Context(), c, values)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	return r, ready
}

// githubToken has the form and a sum that holds; it is put together here.
func githubToken() string { return "gh" + "p_" + "x8Kq2LmZ7vRt4WbN9yHd3FgJ6sPc5QeA1uTi" }

// place is one way out of a bottle. It returns the status, or 403 where the connection was cut, and
// what was answered.
type place struct {
	name string
	// redacts is whether a value in there can be replaced in place.
	redacts bool
	send    func(t *testing.T, c *http.Client, value string) (int, string)
}

func places() []place {
	const base = "https://example.com/x"
	post := func(kind string, body func(string) string, more ...string) func(*testing.T, *http.Client, string) (int, string) {
		return func(t *testing.T, c *http.Client, value string) (int, string) {
			return send(t, c, base, body(value), append([]string{"Content-Type", kind}, more...)...)
		}
	}
	packed := func(value string, pack func(io.Writer, string)) string {
		var b bytes.Buffer
		pack(&b, value)
		return b.String()
	}
	return []place{
		{"the path", true, func(t *testing.T, c *http.Client, v string) (int, string) { return send(t, c, base+"/"+v, "") }},
		{"the query", true, func(t *testing.T, c *http.Client, v string) (int, string) {
			return send(t, c, base+"?q="+url.QueryEscape(v), "")
		}},
		{"a header's value", true, func(t *testing.T, c *http.Client, v string) (int, string) {
			return send(t, c, base, "", "X-Note", v)
		}},
		{"a header's name", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			return send(t, c, base, "", "X-"+v, "1")
		}},
		{"a cookie", true, func(t *testing.T, c *http.Client, v string) (int, string) {
			return send(t, c, base, "", "Cookie", "a=1; b="+v)
		}},
		{"two headers", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			return send(t, c, base, "", "X-A", v[:len(v)/2], "X-B", v[len(v)/2:])
		}},
		{"plain text", true, post("text/plain", func(v string) string { return "it is " + v + "." })},
		{"a form", true, post("application/x-www-form-urlencoded", func(v string) string { return "a=1&b=" + url.QueryEscape(v) + "&c=2" })},
		{"a JSON string", true, post("application/json", func(v string) string { return `{"a":"` + v + `","n":[1,2]}` })},
		{"arguments of a tool", true, post("application/json", func(v string) string {
			return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"q":"` + v + `"}}}`
		})},
		{"base64 in JSON", true, post("application/json", func(v string) string {
			return `{"a":"` + base64.StdEncoding.EncodeToString([]byte("so: "+v)) + `"}`
		})},
		{"a part of multipart", false, post("multipart/form-data; boundary=b", func(v string) string {
			return "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + v + "\r\n--b--\r\n"
		})},
		{"a file's name", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			part, err := w.CreateFormFile("file", v+".txt")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(part, "nothing in here")
			_ = w.Close()
			return send(t, c, base, b.String(), "Content-Type", w.FormDataContentType())
		}},
		{"gzip", false, post("application/json", func(v string) string {
			return packed(v, func(w io.Writer, v string) {
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, `{"a":"`+v+`"}`)
				_ = z.Close()
			})
		}, "Content-Encoding", "gzip")},
		{"an archive that is put", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			return put(t, c, base, packed(v, func(w io.Writer, v string) {
				z := gzip.NewWriter(w)
				a := tar.NewWriter(z)
				_ = a.WriteHeader(&tar.Header{Name: "notes.txt", Mode: 0o600, Size: int64(len(v))})
				_, _ = io.WriteString(a, v)
				_ = a.Close()
				_ = z.Close()
			}))
		}},
		{"a name in an archive", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			return put(t, c, base, packed(v, func(w io.Writer, v string) {
				a := zip.NewWriter(w)
				f, _ := a.CreateHeader(&zip.FileHeader{Name: v, Method: zip.Store})
				_, _ = io.WriteString(f, "nothing in here")
				_ = a.Close()
			}))
		}},
		{"a WebSocket's message", true, func(t *testing.T, c *http.Client, v string) (int, string) {
			return talk(t, c, websocket.CompressionDisabled, websocket.MessageText, `{"a":"`+v+`"}`)
		}},
		{"a deflated message", true, func(t *testing.T, c *http.Client, v string) (int, string) {
			return talk(t, c, websocket.CompressionContextTakeover, websocket.MessageText, strings.Repeat("words and words ", 64)+v)
		}},
		{"a binary message", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			return talk(t, c, websocket.CompressionDisabled, websocket.MessageBinary, "\x00\x01"+v)
		}},
		{"a gRPC message", true, post("application/grpc", func(v string) string {
			message := "\x0a" + string(rune(len(v))) + v
			return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + message
		})},
		{"a method", false, func(t *testing.T, c *http.Client, v string) (int, string) {
			request, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(v), base, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			return do(t, c, request)
		}},
	}
}

func put(t *testing.T, c *http.Client, address, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	return do(t, c, request)
}

func do(t *testing.T, c *http.Client, request *http.Request) (int, string) {
	t.Helper()
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return http.StatusForbidden, err.Error()
	}
	return response.StatusCode, string(answer)
}

// talk opens a WebSocket, sends one message and returns its echo.
func talk(t *testing.T, c *http.Client, mode websocket.CompressionMode, kind websocket.MessageType, message string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	h1 := &http.Client{Transport: onlyHTTP1(c)}
	conn, response, err := websocket.Dial(ctx, "wss://example.com/socket", &websocket.DialOptions{HTTPClient: h1, CompressionMode: mode})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	if err := conn.Write(ctx, kind, []byte(message)); err != nil {
		return http.StatusForbidden, err.Error()
	}
	_, echo, err := conn.Read(ctx)
	if err != nil {
		return http.StatusForbidden, err.Error()
	}
	_ = response
	return http.StatusOK, string(echo)
}

func onlyHTTP1(c *http.Client) *http.Transport {
	h1 := c.Transport.(*http.Transport).Clone()
	h1.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	h1.ForceAttemptHTTP2 = false
	return h1
}

// TestNothingSecretLeavesByAnyPlace tries each place in each mode: what may not be sent does not
// reach the upstream in any form that it could be read from, and the agent is told the rule.
func TestNothingSecretLeavesByAnyPlace(t *testing.T) {
	for _, mode := range []string{"block", "redact", "supervise"} {
		for _, h2 := range []bool{false, true} {
			w := newWire(t, nil)
			r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{OnMatch: mode}))
			client := agent(t, r, ready)
			if h2 {
				client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
			}
			for _, p := range places() {
				for kind, value := range map[string]string{"known": token(), "pattern": githubToken()} {
					if p.name == "a method" && kind == "pattern" {
						continue // upper case makes it another
					}
					status, answer := p.send(t, client, value)
					reached := w.take()
					where := fmt.Sprintf("%s, h2 %v, %s value in %s", mode, h2, kind, p.name)
					if leaked(reached, value) {
						t.Errorf("%s: it left: %q", where, reached)
					}
					if mode == "redact" && p.redacts {
						if status != http.StatusOK || !strings.Contains(reached, "XXXX") && !strings.Contains(reached, "1111") {
							t.Errorf("%s: not redacted: %d %s, the upstream saw %q", where, status, answer, reached)
						}
						continue
					}
					if status != http.StatusForbidden && (mode != "redact" || p.name != "two headers") { // one of them may be enough
						t.Errorf("%s: %d %s", where, status, answer)
					}
					if strings.Contains(answer, value) && p.name != "the path" && p.name != "a method" {
						t.Errorf("%s: the answer repeats the value", where)
					}
					if mode == "supervise" && strings.HasPrefix(answer, "{") && !strings.Contains(answer, "nobody can be asked") {
						t.Errorf("%s: it does not say that nobody is asked: %s", where, answer)
					}
				}
			}
			log := logOf(t, r)
			for _, value := range []string{token(), githubToken()} {
				if strings.Contains(log, value) {
					t.Errorf("%s: the log holds the value: %s", mode, log)
				}
			}
		}
	}
}

// leaked looks for a value in what an upstream got, also in its usual disguises.
func leaked(reached, value string) bool {
	for _, form := range []string{value, value[:12], strings.ToUpper(value), base64.StdEncoding.EncodeToString([]byte("so: " + value))[8:24]} {
		if strings.Contains(reached, form) {
			return true
		}
	}
	return false
}

// logOf ends the sidecar and returns its log as it lies on the disk.
func logOf(t *testing.T, r *rig) string {
	t.Helper()
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	raw, err := json.Marshal(r.events(t, audit.Filter{}))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTrailersOfARequestDoNotLeave(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{}))
	client := agent(t, r, ready)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/x", io.NopCloser(strings.NewReader("words")))
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"X-Secret": {token()}}
	if status, answer := do(t, client, request); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if reached := w.take(); strings.Contains(reached, token()) || !strings.Contains(reached, "words") {
		t.Errorf("the upstream saw %q", reached)
	}
}

func TestLineBreaksThatSplitARequestAreRefused(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{OutboundOff: true}))
	client := agent(t, r, ready)
	for target, want := range map[string]int{
		"/x?a=1%0d%0aSet-Cookie:%20a=b":                       403,
		"/x?a=1%0aHost:%20evil.example":                       403,
		"/x?a=1%250d%250aX-Admin:%201":                        403,
		"/x?a=%20HTTP/1.1%0d%0a%0d%0aGET%20/admin%20HTTP/1.1": 403,
		"/x?a=%E5%98%8D%E5%98%8ASet-Cookie:a=b":               403,
		"/x?text=first%20line%0d%0asecond%20line":             200,
		"/x?text=note%0aremember:%20milk":                     200,
	} {
		if status, answer := send(t, client, "https://example.com"+target, ""); status != want {
			t.Errorf("%s: %d %s", target, status, answer)
		}
	}
	if status, _ := send(t, client, "https://example.com/x%0d%0aX:1", ""); status < 400 {
		t.Errorf("a line break in the path: %d", status)
	}
	if status, answer := send(t, client, "https://example.com/x", "", "X-Note", "a%0d%0aSet-Cookie: b=c"); status != 403 || !strings.Contains(answer, "crlf-injection") {
		t.Errorf("an escaped line break in a header: %d %s", status, answer)
	}
}

func TestWhatIsSignedIsRefusedNotRedacted(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{OnMatch: "redact"}))
	client := agent(t, r, ready)
	body := `{"a":"` + githubToken() + `"}`
	for _, field := range []string{"", "Digest", "Content-Digest", "Content-MD5", "X-Amz-Content-Sha256", "X-Amz-Checksum-Crc32", "X-Hub-Signature-256", "Signature", "X-Goog-Hash"} {
		header := []string{"Content-Type", "application/json"}
		want := http.StatusOK
		if field != "" {
			header, want = append(header, field, "abc"), http.StatusForbidden
		}
		if status, answer := send(t, client, "https://example.com/x", body, header...); status != want {
			t.Errorf("%s: %d %s", field, status, answer)
		}
		if reached := w.take(); strings.Contains(reached, githubToken()) {
			t.Errorf("%s: it left", field)
		}
	}
}
