//go:build linux

package gitgate

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

// maxFetchRequest bounds what a client sends to fetch: wants, haves and filters.
const maxFetchRequest = 64 << 20

// advertiseFetch answers the discovery of a fetch, once the mirror is what the upstream is.
func (s *Server) advertiseFetch(w http.ResponseWriter, rq *http.Request, r *repo) {
	ctx, cancel := bounded(rq.Context(), fetchTime)
	defer cancel()
	if err := r.mirror.update(ctx); err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadGateway, cannotUpdate(r, err))
		return
	}
	done, ok := s.slot(ctx)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer done()
	w.Header().Set("Content-Type", "application/x-"+uploadPack+"-advertisement")
	c := command{dir: r.mirror.repository(), env: protocol(rq), out: w, memory: serveMemory, cpu: serveSeconds}
	if !strings.Contains(rq.Header.Get("Git-Protocol"), "version=2") {
		_, _ = io.WriteString(w, pkt("# service="+uploadPack+"\n")+flushPkt)
	}
	s.served(rq, r, "discovery", s.git.run(ctx, c, "upload-pack", "--stateless-rpc", "--http-backend-info-refs", "--timeout=600", "."))
}

// slot waits for its turn among the fetches of a bottle, each of which costs memory and time.
func (s *Server) slot(ctx context.Context) (done func(), ok bool) {
	select {
	case s.fetching <- struct{}{}:
		return func() { <-s.fetching }, true
	case <-ctx.Done():
		return nil, false
	}
}

func cannotUpdate(r *repo, err error) string {
	return fmt.Sprintf("nothing is served of %s, because it cannot be brought up to date with its upstream: %s", r.Name, words(err))
}

// words makes an error fit for the agent: no control bytes, several lines at most.
func words(err error) string {
	text := strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' || c == 0x7f {
			return ' '
		}
		return c
	}, err.Error())
	if len(text) > 2000 {
		text = text[:2000] + "…"
	}
	return text
}

// protocol passes the version on that the client asked for, where it is one.
func protocol(rq *http.Request) []string {
	switch asked := rq.Header.Get("Git-Protocol"); asked {
	case "version=1", "version=2":
		return []string{"GIT_PROTOCOL=" + asked}
	}
	return nil
}

// fetch answers one request of a fetch from the mirror.
func (s *Server) fetch(w http.ResponseWriter, rq *http.Request, r *repo) {
	ctx, cancel := bounded(rq.Context(), fetchTime)
	defer cancel()
	if err := r.mirror.ensure(ctx); err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadGateway, cannotUpdate(r, err))
		return
	}
	body, err := plainBody(rq)
	if err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadRequest, "the request's body cannot be read: "+words(err))
		return
	}
	done, ok := s.slot(ctx)
	if !ok {
		panic(http.ErrAbortHandler) // who waited too long gets no answer that looks whole
	}
	defer done()
	w.Header().Set("Content-Type", "application/x-"+uploadPack+"-result")
	out := &counted{w: w}
	c := command{
		dir: r.mirror.repository(), env: protocol(rq), in: io.LimitReader(body, maxFetchRequest), out: out,
		memory: serveMemory, cpu: serveSeconds, wide: true,
	}
	err = s.git.run(ctx, c, "upload-pack", "--stateless-rpc", "--timeout=600", ".")
	s.served(rq, r, fmt.Sprintf("%d bytes", out.n), err)
	if err != nil {
		_ = http.NewResponseController(w).Flush() // git has said why, where it could
		panic(http.ErrAbortHandler)               // an answer that was cut off must not look whole
	}
}

// plainBody takes gzip off a request, which git puts on larger ones.
func plainBody(rq *http.Request) (io.Reader, error) {
	switch rq.Header.Get("Content-Encoding") {
	case "":
		return rq.Body, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(rq.Body)
	}
	return nil, fmt.Errorf("its encoding %q is not understood", rq.Header.Get("Content-Encoding"))
}

func (s *Server) served(rq *http.Request, r *repo, what string, err error) {
	e := audit.Event{Verdict: "allow", Method: rq.Method, Path: shown(rq.URL.Path), Rule: r.Name, Message: "fetch: " + what, Status: http.StatusOK}
	if err != nil {
		e.Message = "fetch: ended early"
		if rq.Context().Err() == nil {
			e.Reason = words(err)
		}
	}
	s.note(e)
}

// counted counts, and lets every piece leave at once.
type counted struct {
	w http.ResponseWriter
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// drain reads what is left of a request, within bounds, so that the client reads the answer.
func drain(ctx context.Context, r io.Reader) {
	if ctx.Err() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 64<<20))
	}
}
