// Package engine speaks the part of the Docker Engine API that a bottle needs, version 1.41
// (Docker 20.10) and newer, over a unix socket; Podman's compatible socket answers it too.
//
// Its one rule: it knows calls and their shapes and no bottle. The official client is not used: the
// packages below it compile regular expressions as they are loaded (go-digest, distribution's
// reference), which each face of the program would pay at its start, with 1.6 to 2.2 ms of 7.6 for
// `version`, so with some 5 ms for a bottle.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// The API versions that were tried; an engine is spoken to in the newest that both know, and one that
// knows only newer ones in the oldest of its own.
const (
	oldest = 41
	newest = 47
)

// Client talks to one engine. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client

	mu      sync.Mutex // guards what follows
	version string     // such as "/v1.41"; "" before the first call
	pinned  bool       // the version is the user's choice
}

// New makes a client of the engine behind a unix socket; it touches nothing.
func New(socket string) *Client {
	var d net.Dialer
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
		DisableCompression:  true,
		MaxIdleConnsPerHost: 8,
	}}}
}

// Socket is where the engine listens.
func (c *Client) Socket() string { return c.socket }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an engine's refusal.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// IsStatus tells whether err is a refusal with this HTTP status.
func IsStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// ping asks the engine what it is.
func (c *Client) ping(ctx context.Context) (http.Header, error) {
	resp, err := c.send(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Header, resp.Body.Close()
}

// base negotiates the version once.
func (c *Client) base(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != "" {
		return c.version, nil
	}
	head, err := c.ping(ctx)
	if err != nil {
		return "", err
	}
	said := head.Get("Api-Version")
	n, ok := minor(said)
	if !ok || n < oldest {
		return "", fault.WithHint(fault.New(fault.Unsupported, "the engine on %s speaks API version %q, older than 1.%d", c.socket, said, oldest),
			"update it: Docker Engine 20.10 is the oldest that is supported")
	}
	c.version = "/v1." + strconv.Itoa(min(n, newest))
	return c.version, nil
}

// minor of a version "1.N".
func minor(version string) (int, bool) {
	rest, ok := strings.CutPrefix(version, "1.")
	n, err := strconv.Atoi(rest)
	return n, ok && err == nil
}

// Pin chooses the API's version, as DOCKER_API_VERSION does for docker.
func (c *Client) Pin(version string) error {
	n, ok := minor(strings.TrimPrefix(version, "v"))
	if !ok || n < oldest {
		return fault.WithHint(fault.New(fault.Invalid, "cannot speak version %q of the engine's API: 1.%d is the oldest", version, oldest),
			"take DOCKER_API_VERSION out of the environment, so that the engine is asked")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.pinned = "/v1."+strconv.Itoa(n), true
	return nil
}

// outgrown looks whether the engine refused our version as older than all that it knows, and takes
// the oldest of its own then; it was not tried, and nearer to what was tried than any other.
func (c *Client) outgrown(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest {
		return false
	}
	_, after, found := strings.Cut(e.Message, "Minimum supported API version is ")
	word, _, _ := strings.Cut(after, ",")
	n, ok := minor(strings.TrimSpace(word))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !found || !ok || n <= newest || c.pinned {
		return false
	}
	now := "/v1." + strconv.Itoa(n)
	changed := c.version != now
	c.version = now
	return changed
}

// send makes one request and turns a refusal into an *Error.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, head http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return nil, err
	}
	if head != nil {
		req.Header = head
	}
	resp, err := c.http.Do(req)
	if err != nil && ctx.Err() != nil { // the client tells the cause, which a caller does not look for
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	return nil, refusal(resp)
}

func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.WithHint(fault.New(fault.Unavailable, "the engine's socket %s is not yours to use: %w", c.socket, err),
			"let an administrator add you to its group (docker), use a rootless engine, or run with --backend native")
	}
	return fault.WithHint(fault.New(fault.Unavailable, "the engine does not answer on %s: %w", c.socket, err),
		"start it, or run with --backend native")
}

func refusal(resp *http.Response) error {
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &said) != nil || said.Message == "" {
		said.Message = resp.Status
		if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); kind == "text/plain" && len(raw) > 0 { // not a page of HTML
			line, _, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
			said.Message += ": " + line[:min(len(line), 200)]
		}
	}
	return &Error{Status: resp.StatusCode, Message: said.Message}
}

// call makes a request with a JSON body, or none, and decodes the answer into out, or ignores it.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	err := c.once(ctx, method, path, in, out)
	if c.outgrown(err) {
		err = c.once(ctx, method, path, in, out)
	}
	return err
}

func (c *Client) once(ctx context.Context, method, path string, in, out any) error {
	base, err := c.base(ctx)
	if err != nil {
		return err
	}
	var body io.Reader
	var head http.Header
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, head = bytes.NewReader(raw), http.Header{"Content-Type": {"application/json"}}
	}
	resp, err := c.send(ctx, method, base+path, body, head)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("cannot read the engine's answer to %s: %w", path, err)
	}
	return nil
}

// Info is what an engine says of itself.
type Info struct {
	ServerVersion   string
	OSType          string
	SecurityOptions []string
	MemoryLimit     bool
	PidsLimit       bool
	Runtimes        map[string]json.RawMessage
	Architecture    string
	MemTotal        int64 // bytes
}

// Info asks the engine about itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	err := c.call(ctx, http.MethodGet, "/info", nil, &i)
	return i, err
}

// Labels as a filter of a list.
func byLabels(labels []string) string {
	raw, err := json.Marshal(map[string][]string{"label": labels})
	if err != nil { // strings always marshal
		panic(err)
	}
	return "filters=" + url.QueryEscape(string(raw))
}
