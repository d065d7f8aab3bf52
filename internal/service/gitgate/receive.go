//go:build linux

package gitgate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
)

const pushCapabilities = "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=bot-bottle"

// advertisePush answers the discovery of a push with the refs of the upstream as they are now.
func (s *Server) advertisePush(w http.ResponseWriter, rq *http.Request, r *repo) {
	ctx, cancel := bounded(rq.Context(), fetchTime)
	defer cancel()
	err := r.mirror.update(ctx)
	var refs map[string]string
	if err == nil {
		refs, err = r.mirror.refs(ctx)
	}
	if err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadGateway, cannotUpdate(r, err))
		return
	}
	w.Header().Set("Content-Type", "application/x-"+receivePack+"-advertisement")
	var out bytes.Buffer
	out.WriteString(pkt("# service="+receivePack+"\n") + flushPkt)
	if strings.Contains(rq.Header.Get("Git-Protocol"), "version=1") {
		out.WriteString(pkt("version 1\n"))
	}
	capabilities := "\x00" + pushCapabilities
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		out.WriteString(pkt(refs[ref] + " " + ref + capabilities + "\n"))
		capabilities = ""
	}
	if capabilities != "" {
		out.WriteString(pkt(zero + " capabilities^{}" + capabilities + "\n"))
	}
	out.WriteString(flushPkt)
	_, _ = w.Write(out.Bytes())
}

// pushRequest is what a client asks for before its pack (gitprotocol-pack(5)).
type pushRequest struct {
	updates []update
	bands   bool
	atomic  bool
	report  bool
}

// readPush reads the commands. An empty request is a client that looks whether it may.
func readPush(r io.Reader) (pushRequest, error) {
	var q pushRequest
	for first := true; ; {
		line, err := readPkt(r)
		if errors.Is(err, io.EOF) && first {
			return q, nil
		}
		if err != nil {
			return q, err
		}
		if line == nil {
			return q, nil
		}
		text := strings.TrimSuffix(string(line), "\n")
		if strings.HasPrefix(text, "shallow ") {
			continue // the mirror has the whole history, and connects what is pushed with it
		}
		if first {
			var list string
			text, list, _ = strings.Cut(text, "\x00")
			words := strings.Fields(list)
			q.bands, q.atomic = slices.Contains(words, "side-band-64k"), slices.Contains(words, "atomic")
			q.report = slices.Contains(words, "report-status")
			first = false
		}
		parts := strings.SplitN(text, " ", 3)
		if len(parts) != 3 || !isOID(parts[0]) || !isOID(parts[1]) || parts[0] == zero && parts[1] == zero {
			return q, errors.New("a command of the push is malformed")
		}
		q.updates = append(q.updates, update{parts[0], parts[1], parts[2]})
		if len(q.updates) > maxCommands {
			return q, fmt.Errorf("the push has more than %d commands", maxCommands)
		}
	}
}

// push takes a push in, looks at it, and forwards it.
func (s *Server) push(w http.ResponseWriter, rq *http.Request, r *repo) {
	ctx, cancel := bounded(rq.Context(), pushTime)
	defer cancel()
	body, err := plainBody(rq)
	if err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadRequest, "the request's body cannot be read: "+words(err))
		return
	}
	q, err := readPush(body)
	if err != nil {
		s.refuse(w, rq, r.Name, http.StatusBadRequest, words(err))
		return
	}
	w.Header().Set("Content-Type", "application/x-"+receivePack+"-result")
	if len(q.updates) == 0 {
		return
	}
	select {
	case s.pushing <- struct{}{}:
		defer func() { <-s.pushing }()
	case <-ctx.Done():
		return
	}
	began := time.Now()
	p := &push{s: s, repo: r, request: q}
	defer p.close()
	early := p.begin(ctx, body)
	drain(ctx, body)
	a := newAnswer(w, q.bands)
	p.answer = a
	result := early
	if result == nil {
		result = p.judge(ctx)
	}
	a.finish(q, p.outcome(result))
	p.record(rq, result, time.Since(began))
}

// record writes the audit line of a push.
func (p *push) record(rq *http.Request, result error, took time.Duration) {
	var refs []string
	for _, u := range p.request.updates {
		refs = append(refs, shown(u.ref))
	}
	if len(refs) > 10 {
		refs = append(refs[:10], "…")
	}
	e := audit.Event{Verdict: "allow", Method: rq.Method, Path: shown(rq.URL.Path), Rule: p.repo.Name, Status: http.StatusOK,
		Message: "push: " + strings.Join(refs, " ") + p.looked, Millis: float64(took.Microseconds()) / 1000}
	if result != nil {
		e.Verdict, e.Reason = "deny", words(result)
	}
	p.s.note(e)
}

// answer is the response to a push: words for the person as they come, then the report.
type answer struct {
	w     http.ResponseWriter
	bands bool
	stop  chan struct{}
	gone  sync.WaitGroup

	mu sync.Mutex // one packet at a time
}

// keepAlive is how often an answer that takes long shows that it goes on.
const keepAlive = 5 * time.Second

func newAnswer(w http.ResponseWriter, bands bool) *answer {
	a := &answer{w: w, bands: bands, stop: make(chan struct{})}
	if !bands {
		return a
	}
	a.gone.Go(func() {
		tick := time.NewTicker(keepAlive)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				a.band(bandWords, nil)
			case <-a.stop:
				return
			}
		}
	})
	return a
}

func (a *answer) band(band byte, p []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = writeBand(a.w, band, p)
	_ = http.NewResponseController(a.w).Flush()
}

// say shows a line to the person, as git does with "remote: ".
func (a *answer) say(format string, args ...any) {
	if a.bands {
		a.band(bandWords, []byte(fmt.Sprintf(format, args...)+"\n"))
	}
}

// finish writes the report: what became of each ref, "" for done.
func (a *answer) finish(q pushRequest, became func(update) string) {
	close(a.stop)
	a.gone.Wait()
	if !q.report {
		return
	}
	var report strings.Builder
	report.WriteString(pkt("unpack ok\n"))
	for _, u := range q.updates {
		if why := became(u); why != "" {
			report.WriteString(pkt("ng " + u.ref + " " + why + "\n"))
		} else {
			report.WriteString(pkt("ok " + u.ref + "\n"))
		}
	}
	report.WriteString(flushPkt)
	if !a.bands {
		_, _ = io.WriteString(a.w, report.String())
		return
	}
	a.band(bandData, []byte(report.String()))
	_, _ = io.WriteString(a.w, flushPkt)
}

// refusal is why a push ends here. Lines are shown to the agent; Short stands beside each ref.
type refusal struct {
	short string
	lines []string
}

func (r *refusal) Error() string { return r.short + ": " + strings.Join(r.lines, "; ") }

// outcome says what became of each ref.
func (p *push) outcome(err error) func(update) string {
	if err == nil {
		return func(u update) string { return p.rejected[u.ref] }
	}
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{"the gate could not do it", []string{words(err)}}
	}
	p.answer.say("")
	p.answer.say("git-gate: refused, nothing was pushed: %s", r.short)
	for _, line := range r.lines {
		p.answer.say("  %s", line)
	}
	p.answer.say("")
	return func(update) string { return "git-gate: " + r.short }
}
