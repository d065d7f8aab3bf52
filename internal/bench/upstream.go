package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ca"
)

// benchHost is the name of the upstream, as the bottle's route has it.
const benchHost = "bench.example"

// upstreamIs says where a running upstream is and who signed its certificate.
type upstreamIs struct {
	Addr string `json:"addr"`
	CA   string `json:"ca"`
}

// serveUpstream is a TLS server on loopback for HTTP/1.1 and HTTP/2. It says where it is in one
// line of JSON, and serves until ctx ends.
func serveUpstream(ctx context.Context, out io.Writer) error {
	authority, err := ca.New("bench upstream", time.Now)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: answers(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name := h.ServerName
			if name == "" {
				name = "127.0.0.1"
			}
			return authority.Leaf(name)
		}},
	}
	if err := json.NewEncoder(out).Encode(upstreamIs{listener.Addr().String(), string(authority.CertificatePEM())}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(listener, "", ""); ctx.Err() == nil {
		return fmt.Errorf("cannot go on serving: %w", err)
	}
	return nil
}

// answers: /small 1 KB; /bytes?n= that many; /sink reads; /sse?n=&gap= events that carry the clock.
func answers() http.Handler {
	small := []byte(strings.Repeat("x", 1<<10))
	block := make([]byte, 64<<10)
	mux := http.NewServeMux()
	mux.HandleFunc("/small", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(small)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		left, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
		for left > 0 {
			n, err := w.Write(block[:min(left, int64(len(block)))])
			if err != nil {
				return
			}
			left -= int64(n)
		}
	})
	mux.HandleFunc("/sink", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	mux.HandleFunc("/sse", events)
	return mux
}

// events tell when each was written.
func events(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	gap, _ := time.ParseDuration(r.URL.Query().Get("gap"))
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for range n {
		_, _ = fmt.Fprintf(w, "data: %d\n\n", monotonic())
		if flush.Flush() != nil {
			return
		}
		select {
		case <-time.After(gap):
		case <-r.Context().Done():
			return
		}
	}
}
