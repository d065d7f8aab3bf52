package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// scrapeLimit bounds what a scraper may send, and how long it may take.
const (
	scrapeLimit    = 8 << 10
	scrapePatience = 5 * time.Second
)

// again is a connection whose first bytes were looked at.
type again struct {
	net.Conn
	from *bufio.Reader
}

func (a *again) Read(p []byte) (int, error) { return a.from.Read(p) }

// scrapes reports whether a client of the status socket asks as an HTTP client does. Our own
// protocol's lines begin with a brace.
func scrapes(a *again) bool {
	const method = "GET "
	if first, err := a.from.Peek(1); err != nil || first[0] != method[0] {
		return false
	}
	first, err := a.from.Peek(len(method))
	return err == nil && string(first) == method
}

// scraped answers one request of a monitoring system for /metrics.
func (p *process) scraped(ctx context.Context, conn *again) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(scrapePatience)) // a connection without deadlines has no slow reader
	request, err := http.ReadRequest(bufio.NewReader(io.LimitReader(conn, scrapeLimit)))
	if err != nil {
		respond(conn, http.StatusBadRequest, "text/plain", []byte("want GET /metrics\n"))
		return
	}
	if request.URL.Path != "/metrics" {
		respond(conn, http.StatusNotFound, "text/plain", []byte("want GET /metrics\n"))
		return
	}
	var body bytes.Buffer
	if err := control.WriteMetrics(&body, []control.Measured{{ID: p.id(), Stats: p.measured()}}); err != nil {
		return
	}
	respond(conn, http.StatusOK, control.MetricsType, body.Bytes())
}

func respond(w io.Writer, status int, kind string, body []byte) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), kind, len(body), body) // who does not read it has gone
}
