package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Client talks to one sidecar, over the owner's connection or one to its status socket. It is
// safe for concurrent use; one call is under way at a time.
type Client struct {
	mu   sync.Mutex // one call at a time: the lock is the queue
	conn net.Conn
	in   *bufio.Reader
	next uint64
	dead error // after a call that was given up the stream cannot be trusted
}

// NewClient takes the connection over. Closing the owner's connection ends the sidecar.
func NewClient(conn net.Conn) *Client {
	return &Client{conn: conn, in: bufio.NewReaderSize(conn, 32<<10)}
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Configure hands over what to enforce and the values of its references, and returns once
// the sidecar serves. The owner may call it once. After an error the sidecar ends.
func (c *Client) Configure(ctx context.Context, config Config, secrets map[string]secret.String) (Ready, error) {
	values := make(map[string]string, len(secrets))
	for ref, value := range secrets {
		values[ref] = value.Reveal()
	}
	var ready Ready
	err := c.call(ctx, MethodConfigure, Setup{Config: config, Secrets: values}, &ready)
	return ready, err
}

// Routes returns the policy in force.
func (c *Client) Routes(ctx context.Context) (Live, error) {
	var live Live
	err := c.call(ctx, MethodRoutes, nil, &live)
	return live, err
}

// SetRoutes replaces the policy of that revision and returns what is in force then. It is
// fault.Busy where another change came first. After an error the old policy is still in force.
func (c *Client) SetRoutes(ctx context.Context, live Live) (Live, error) {
	var now Live
	err := c.call(ctx, MethodSetRoutes, live, &now)
	return now, err
}

// Stats returns what the sidecar has done so far.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	err := c.call(ctx, MethodStats, nil, &stats)
	return stats, err
}

// Proposals returns the operator's inbox of this bottle: with a since of 0 as it is, else as soon as
// it is newer than that revision, or after at most LongestWait as it is.
func (c *Client) Proposals(ctx context.Context, since uint64) (Proposals, error) {
	var all Proposals
	err := c.call(ctx, MethodProposals, ProposalsQuery{Since: since}, &all)
	return all, err
}

// Proposal returns one proposal, whole.
func (c *Client) Proposal(ctx context.Context, id string) (ask.Proposal, error) {
	var p ask.Proposal
	err := c.call(ctx, MethodProposal, ProposalRef{ID: id}, &p)
	return p, err
}

// Decide answers a proposal. After an error nothing has changed, but for one of kind
// fault.Unavailable, after which only the proposal itself tells.
func (c *Client) Decide(ctx context.Context, d ask.Decision) (ask.Proposal, error) {
	var p ask.Proposal
	err := c.call(ctx, MethodDecide, d, &p)
	return p, err
}

// Filed notes that an approval for always is in the bottle's file.
func (c *Client) Filed(ctx context.Context, id string) error {
	return c.call(ctx, MethodFiled, ProposalRef{ID: id}, nil)
}

// Note appends an event of kind "lifecycle" or "note" to the audit log. Only the owner may.
func (c *Client) Note(ctx context.Context, e audit.Event) error {
	return c.call(ctx, MethodNote, e, nil)
}

// Renew replaces the value of a reference that came with the configuration. After an error the old
// one is still in force. Only the owner may.
func (c *Client) Renew(ctx context.Context, ref string, value secret.String) error {
	return c.call(ctx, MethodRenew, Renewal{Ref: ref, Value: value.Reveal()}, nil)
}

// Stop ends the sidecar in good order: the audit log is written to the end.
func (c *Client) Stop(ctx context.Context) error { return c.call(ctx, MethodStop, nil, nil) }

func (c *Client) call(ctx context.Context, method string, params, result any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return c.dead
	}
	response, err := c.exchange(ctx, method, params)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		c.dead = fault.New(fault.Unavailable, "cannot reach the sidecar (%s): %w", method, err)
		return c.dead
	}
	if response.Error != nil {
		return response.Error.fault()
	}
	if result == nil {
		return nil
	}
	if err := Decode(response.Result, result); err != nil {
		return fmt.Errorf("cannot understand the sidecar's answer to %s: %w", method, err)
	}
	return nil
}

func (c *Client) exchange(ctx context.Context, method string, params any) (Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.next++
	request := Request{ID: c.next, Method: method}
	if params != nil {
		encoded, err := json.Marshal(params)
		if err != nil {
			return Response{}, err
		}
		defer clear(encoded)
		request.Params = encoded
	}
	if err := writeLine(c.conn, request); err != nil {
		return Response{}, err
	}
	line, err := readLine(c.in)
	if errors.Is(err, io.EOF) {
		return Response{}, errors.New("it has ended")
	}
	if err != nil {
		return Response{}, err
	}
	var response Response
	if err := Decode(line, &response); err != nil {
		return Response{}, err
	}
	if response.ID != c.next && (response.Error == nil || response.ID != 0) {
		return Response{}, fmt.Errorf("the answer is to call %d, not %d", response.ID, c.next)
	}
	return response, nil
}
