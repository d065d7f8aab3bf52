// Package supervise is how the agent asks: an MCP server in the bottle's network whose tools turn
// into questions for the operator.
//
// Its one rule: a tool only ever asks. What an approval would change is computed by others from
// what is in force; of the agent's words, nothing is believed.
package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Config says how the server asks. The zero value of each means its default.
type Config struct {
	// Patience is how long a call waits for the operator before it says pending; 30 s.
	Patience time.Duration
	// Capability is what capability-block can ask for here: "dockerfile", "packages", or "" for nothing.
	Capability string
}

// Inbox is where questions go.
type Inbox interface {
	// Submit asks a question that stays open while nobody waits. An equal one is the same proposal.
	Submit(q ask.Question, lifetime time.Duration) (ask.Proposal, error)
	// Await returns a proposal once it is decided, or as it is when ctx ends.
	Await(ctx context.Context, id string) (ask.Proposal, error)
	// Latest returns the last proposal with this kind, key and candidate.
	Latest(q ask.Question) (ask.Proposal, bool)
	// Proposal is fault.NotFound where there is none of that ID.
	Proposal(id string) (ask.Proposal, error)
}

// Bottle answers what a tool needs to know of the rest of the sidecar.
type Bottle interface {
	// Routes are the live ones as the agent may see them.
	Routes() any
	// Complete gives a route what the routes of its host have besides, or says why it cannot be
	// asked for.
	Complete(policy.Route) (policy.Route, error)
	// InForce reports whether a route is among the live ones as it is.
	InForce(policy.Route) bool
	// Missing is the route that a refused request lacks; allowed is true where it lacks none. An
	// error says why nobody is asked.
	Missing(policy.Request) (route policy.Route, allowed bool, err error)
	// HeldValue finds a value that the scanner held back, by the fingerprint that its refusal told,
	// as the candidate of a question; title says in a line what it is.
	HeldValue(fingerprint, host string) (candidate json.RawMessage, title string, err error)
	// HeldPush is the question of the last push that the git gate held back for a finding.
	HeldPush(fingerprint string) (ask.Question, error)
}

// Deps are what the server works with.
type Deps struct {
	Inbox  Inbox
	Bottle Bottle
}

// maxBody bounds one message of the agent.
const maxBody = 256 << 10

// maxConns bounds the calls under way; each may wait for the operator.
const maxConns = 64

// Server speaks MCP over HTTP/1 on the connections that it is handed. Making it costs nothing:
// the tools and their schemas are made when the first connection comes.
type Server struct {
	config Config
	deps   Deps
	conns  chan net.Conn
	ended  chan struct{}
	slots  chan struct{}
	end    sync.Once
}

// New checks the dependencies and starts nothing.
func New(config Config, deps Deps) (*Server, error) {
	if deps.Inbox == nil || deps.Bottle == nil {
		return nil, errors.New("cannot make the supervise server: it needs an inbox and a bottle")
	}
	if config.Patience == 0 {
		config.Patience = 30 * time.Second
	}
	return &Server{config: config, deps: deps, conns: make(chan net.Conn), ended: make(chan struct{}), slots: make(chan struct{}, maxConns)}, nil
}

// Dial returns the client's end of a new connection.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, errors.New("too many calls are under way")
	}
	ours, theirs := net.Pipe()
	select {
	case s.conns <- &slotted{Conn: ours, give: sync.OnceFunc(func() { <-s.slots })}:
		return theirs, nil
	case <-s.ended:
	case <-ctx.Done():
	}
	<-s.slots
	return nil, errors.Join(ours.Close(), theirs.Close(), net.ErrClosed)
}

// slotted gives its place back when it is closed.
type slotted struct {
	net.Conn
	give func()
}

func (c *slotted) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// Run serves until ctx ends, which is no error. ready is called at once: who comes first waits.
func (s *Server) Run(ctx context.Context, ready func()) error {
	handler := sync.OnceValue(s.handler)
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) }),
		ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		s.end.Do(func() { close(s.ended) })
		_ = server.Close() // what still waits ends with the bottle
	})
	defer stop()
	ready()
	err := server.Serve(handed{s})
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// handed accepts what Dial brings.
type handed struct{ s *Server }

func (h handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.s.conns:
		return conn, nil
	case <-h.s.ended:
		return nil, net.ErrClosed
	}
}

func (h handed) Close() error   { h.s.end.Do(func() { close(h.s.ended) }); return nil }
func (h handed) Addr() net.Addr { return &net.UnixAddr{Name: "supervise", Net: "unix"} }

// instructions begin with a line that is whole by itself: some harnesses show their model no more,
// and of that 250 characters.
const instructions = `You run in a bottle: nothing leaves it but what its operator allows. When something you need is refused, ask here and say why; a person reads it.
Ask for the least that does the job. A call waits half a minute for the answer; when it says pending, go on with other work
and ask proposal-status later. After a rejection, do what the reason says: do not ask for the same again, and do not look
for another way around it.`

// handler is the MCP endpoint, the same on every path.
func (s *Server) handler() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "supervise", Title: "bot-bottle supervise", Version: "1"}, &mcp.ServerOptions{Instructions: instructions})
	s.addTools(server)
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody,
		DisableLocalhostProtection: true, // it listens on no address: only the sidecar's own relay reaches it
	})
}
