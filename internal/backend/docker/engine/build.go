package engine

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// BuildKit tells whether the engine builds with BuildKit by itself. Docker before 23 says nothing
// of it and has it; Podman says nothing and has not.
func (c *Client) BuildKit(ctx context.Context) (bool, error) {
	head, err := c.ping(ctx)
	if err != nil {
		return false, err
	}
	if said := head.Get("Builder-Version"); said != "" {
		return said == "2", nil
	}
	return strings.HasPrefix(head.Get("Server"), "Docker/") && head.Get("Ostype") == "linux", nil
}

// StartBuild asks for a build and returns what the engine says of it, a stream of JSON messages.
// The context, a tar stream, may be nil; registries are the logins that the header carries.
func (c *Client) StartBuild(ctx context.Context, query url.Values, tar io.Reader, registries string) (io.ReadCloser, error) {
	base, err := c.base(ctx)
	if err != nil {
		return nil, err
	}
	head := http.Header{"Content-Type": {"application/x-tar"}}
	if registries != "" {
		head.Set("X-Registry-Config", registries)
	}
	resp, err := c.send(ctx, http.MethodPost, base+"/build?"+query.Encode(), tar, head)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// CancelBuild ends a build that BuildKit does.
func (c *Client) CancelBuild(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/build/cancel?id="+url.QueryEscape(id), nil, nil)
}

// Session opens a connection on which the engine, while it builds, calls the methods that the
// caller serves: gRPC over HTTP/2, whose client the engine is.
func (c *Client) Session(ctx context.Context, id, sharedKey string, methods []string) (net.Conn, error) {
	raw, reader, err := c.hijack(ctx, "/session", "h2c", http.Header{
		"X-Docker-Expose-Session-Uuid": {id}, "X-Docker-Expose-Session-Name": {"bot-bottle"},
		"X-Docker-Expose-Session-Sharedkey": {sharedKey}, "X-Docker-Expose-Session-Grpc-Method": methods,
	})
	if err != nil {
		return nil, err
	}
	return &resumed{raw, reader}, nil
}

// resumed is a connection of which some was read already.
type resumed struct {
	net.Conn
	from *bufio.Reader
}

func (r *resumed) Read(p []byte) (int, error) { return r.from.Read(p) }
