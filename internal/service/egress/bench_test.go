package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// direct is a client without a proxy between it and the upstream.
func direct(b *testing.B) *http.Client {
	b.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(outsideCA(b).CertificatePEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "allowed.example"}, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// beside runs one measurement directly and through the proxy.
func beside(b *testing.B, handler http.HandlerFunc, run func(*testing.B, *http.Client, string)) {
	up := newUpstream(b, false, true, func(w http.ResponseWriter, r *http.Request) { handler(w, r) })
	b.Run("direct", func(b *testing.B) { run(b, direct(b), up.URL) })
	b.Run("through", func(b *testing.B) {
		w := usual(b, up)
		client := w.client(b, false)
		client.Timeout = 0
		run(b, client, "https://allowed.example")
	})
}

func BenchmarkKeptAliveHTTPS(b *testing.B) {
	body := strings.Repeat("x", 1024)
	beside(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }, func(b *testing.B, c *http.Client, url string) {
		b.ReportAllocs()
		for b.Loop() {
			fetch(b, c, url)
		}
	})
}

// passing is an Inspector that lets everything through as it comes.
type passing struct{ blocker }

func (passing) Inspect(egress.Exchange) egress.Inspector { return &passing{} }

// BenchmarkWatchedHTTPS is a kept-alive request by either protocol, whose answer is watched.
func BenchmarkWatchedHTTPS(b *testing.B) {
	body := strings.Repeat("x", 1024)
	for _, h2 := range []bool{false, true} {
		b.Run(map[bool]string{false: "h1", true: "h2"}[h2], func(b *testing.B) {
			up := newUpstream(b, h2, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			up.quiet.Store(true)
			w := newWorld(b, setup{
				names: names{"allowed.example"}, inspectors: passing{},
				set: policy.Set{Routes: []policy.Route{{Host: "allowed.example", ConnectTo: up.address()}}},
			})
			client := w.client(b, h2)
			client.Timeout = 0
			w.records.instead = func(audit.Event) {}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get("https://allowed.example/")
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkNewConnections makes a whole handshake for each request.
func BenchmarkNewConnections(b *testing.B) {
	beside(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, func(b *testing.B, c *http.Client, url string) {
		c.Transport.(*http.Transport).DisableKeepAlives = true
		for b.Loop() {
			fetch(b, c, url)
		}
	})
}

func BenchmarkStreamDown(b *testing.B) {
	const size = 64 << 20
	buf := make([]byte, 64<<10)
	beside(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "67108864")
		for range size / len(buf) {
			_, _ = w.Write(buf)
		}
	}, func(b *testing.B, c *http.Client, url string) {
		b.SetBytes(size)
		for b.Loop() {
			resp, err := c.Get(url)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
				b.Fatal(n, err)
			}
			_ = resp.Body.Close()
		}
	})
}

func BenchmarkStreamUp(b *testing.B) {
	const size = 64 << 20
	beside(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, func(b *testing.B, c *http.Client, url string) {
		b.SetBytes(size)
		for b.Loop() {
			req, err := http.NewRequest(http.MethodPost, url, io.LimitReader(zeros{}, size))
			if err != nil {
				b.Fatal(err)
			}
			req.ContentLength = size
			resp, err := c.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	})
}

// fetch reads one answer to its end.
func fetch(b *testing.B, c *http.Client, url string) {
	b.Helper()
	resp, err := c.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
