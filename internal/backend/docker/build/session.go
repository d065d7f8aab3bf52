package build

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// The methods that the engine calls during a build, <https://github.com/moby/buildkit>.
const (
	methodHealth      = "/grpc.health.v1.Health/Check"
	methodCredentials = "/moby.filesync.v1.Auth/Credentials"
	methodFiles       = "/moby.filesync.v1.FileSync/DiffCopy"
)

// Codes of gRPC, <https://grpc.io/docs/guides/status-codes/>.
const (
	codeOK            = 0
	codeUnknown       = 2
	codeNotFound      = 5
	codeUnimplemented = 12
)

// maxMessage bounds what the engine sends at once; its own messages are some hundred bytes.
const maxMessage = 4 << 20

// session answers what the engine asks for during a build. The engine learns the logins at the
// registries that it names, and the files below the one directory.
type session struct {
	logins func(ctx context.Context, host string) (user, secret string)
	files  map[string]*source // by the names that BuildKit has for them
}

// serve answers on a connection, in HTTP/2 from its first byte, until the line is closed.
func (s *session) serve(ctx context.Context, l *line) {
	server := &http.Server{
		Handler: s, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headLimit,
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	_ = server.Serve(l)
	_ = server.Close()
}

// headLimit bounds how long the engine's first words may take.
const headLimit = 30 * time.Second

// line is a listener at which one connection comes in.
type line struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newLine(conn net.Conn) *line {
	l := &line{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conn <- conn
	return l
}

// Accept implements net.Listener.
func (l *line) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the server closes the connection.
func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *line) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (s *session) methods() []string { return []string{methodHealth, methodCredentials, methodFiles} }

// ServeHTTP is one call of gRPC: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
func (s *session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	c := &call{w: w, r: r}
	code := codeUnknown
	var err error
	switch r.URL.Path {
	case methodHealth:
		err = c.send(appendNumber(nil, 1, 1)) // serving
	case methodCredentials:
		err = s.credentials(r.Context(), c)
	case methodFiles:
		if err = s.copyFiles(r.Context(), c); errors.Is(err, errNoDirectory) {
			code = codeNotFound
		}
	default:
		code, err = codeUnimplemented, fmt.Errorf("there is no %s", r.URL.Path)
	}
	if err == nil {
		code = codeOK
	} else {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(err.Error()))
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
}

func (s *session) credentials(ctx context.Context, c *call) error {
	asked, err := c.receive()
	if err != nil {
		return err
	}
	all, err := fields(asked)
	if err != nil {
		return err
	}
	host := ""
	for _, f := range all {
		if f.number == 1 {
			host = string(f.bytes)
		}
	}
	user, secret := s.logins(ctx, host)
	return c.send(appendBytes(appendBytes(nil, 1, user), 2, secret))
}

// call is a call with its stream of messages.
type call struct {
	r *http.Request

	mu sync.Mutex // one writer at a time
	w  http.ResponseWriter
}

// receive reads the next message; io.EOF is the end of them.
func (c *call) receive() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r.Body, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxMessage {
		return nil, fmt.Errorf("cannot read a message of kind %d with %d bytes", head[0], size)
	}
	message := make([]byte, size)
	_, err := io.ReadFull(c.r.Body, message)
	return message, err
}

func (c *call) send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	if _, err := c.w.Write(append(head, message...)); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}
