package build

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// client calls a session as an engine does.
type client struct {
	t  *testing.T
	to *http.ClientConn
}

func served(t *testing.T, s *session) *client {
	t.Helper()
	here, there := net.Pipe()
	l, done := newLine(there), make(chan struct{})
	go func() { defer close(done); s.serve(context.WithoutCancel(t.Context()), l) }()
	by := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	by.Protocols.SetUnencryptedHTTP2(true)
	to, err := by.NewClientConn(t.Context(), "http", "session:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close(); _ = l.Close(); _ = here.Close(); <-done })
	return &client{t, to}
}

// stream is a call that goes on.
type stream struct {
	t    *testing.T
	ask  *io.PipeWriter
	resp *http.Response
}

func (c *client) call(method string, head http.Header, first ...[]byte) *stream {
	c.t.Helper()
	pr, pw := io.Pipe()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://session"+method, pr)
	if err != nil {
		c.t.Fatal(err)
	}
	if head != nil {
		req.Header = head
	}
	go func() {
		for _, m := range first {
			_, _ = pw.Write(framed(m))
		}
	}()
	resp, err := c.to.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close(); _ = pw.Close() })
	return &stream{c.t, pw, resp}
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// next is the next message; nil at the end.
func (s *stream) next() []byte {
	s.t.Helper()
	var head [5]byte
	_, err := io.ReadFull(s.resp.Body, head[:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	message := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if err == nil {
		_, err = io.ReadFull(s.resp.Body, message)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return message
}

// status ends the call and is how it ended.
func (s *stream) status() string {
	s.t.Helper()
	for s.next() != nil {
	}
	return s.resp.Trailer.Get("Grpc-Status")
}

func of(t *testing.T, message []byte, number uint64) field {
	t.Helper()
	all, err := fields(message)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.number == number {
			return f
		}
	}
	return field{}
}

func TestASessionAnswers(t *testing.T) {
	asked := ""
	c := served(t, &session{logins: func(_ context.Context, host string) (string, string) {
		asked = host
		return "someone", "some" + "thing"
	}})
	t.Run("that it is there", func(t *testing.T) {
		s := c.call(methodHealth, nil, nil)
		if m := s.next(); of(t, m, 1).value != 1 || s.status() != "0" {
			t.Errorf("%x", m)
		}
	})
	t.Run("with the login at the registry that is asked", func(t *testing.T) {
		s := c.call(methodCredentials, nil, appendBytes(nil, 1, "registry.example"))
		m := s.next()
		if string(of(t, m, 1).bytes) != "someone" || string(of(t, m, 2).bytes) != "something" || asked != "registry.example" || s.status() != "0" {
			t.Errorf("%q for %q", m, asked)
		}
	})
	t.Run("that it knows nothing else", func(t *testing.T) {
		for _, method := range []string{"/moby.filesync.v1.Auth/FetchToken", "/moby.buildkit.secrets.v1.Secrets/GetSecret", "/moby.sshforward.v1.SSH/ForwardAgent", "/"} {
			if got := c.call(method, nil, nil).status(); got != "12" {
				t.Errorf("%s ends with %q", method, got)
			}
		}
	})
	t.Run("no message that is too long", func(t *testing.T) {
		s := c.call(methodCredentials, nil, make([]byte, maxMessage+1))
		if got, why := s.status(), s.resp.Trailer.Get("Grpc-Message"); got != "2" || !strings.Contains(why, fmt.Sprint(maxMessage+1)) {
			t.Errorf("it ends with %q, %q", got, why)
		}
	})
}

func TestADirectoryGoesOver(t *testing.T) {
	dir := planted(t, "a", "b/c", "b/dä -> ../a", "secret")
	sent := 0
	c := served(t, &session{files: map[string]*source{
		"context":    {dir: dir, sent: func(n int) error { sent += n; return nil }},
		"dockerfile": {texts: map[string]string{"Dockerfile": "FROM x"}, sent: func(int) error { return nil }},
	}})
	named := func(s *stream) (all []string) {
		for {
			m := s.next()
			st := of(t, m, 2).bytes
			if st == nil {
				return all
			}
			all = append(all, string(of(t, st, 1).bytes))
		}
	}
	t.Run("as it is left by what is excluded", func(t *testing.T) {
		s := c.call(methodFiles, http.Header{"Dir-Name": {"context"}, "Exclude-Patterns": {"secret", "%62/d*"}, "Exclude-Patterns-Encoded": {"1"}})
		if got := strings.Join(named(s), " "); got != "a b b/c" {
			t.Fatalf("%q", got)
		}
		_, _ = s.ask.Write(framed(appendNumber(appendNumber(nil, 1, packetAsk), 3, 2)))
		var content []byte
		for {
			m := s.next()
			if of(t, m, 1).value != packetData || of(t, m, 3).value != 2 {
				t.Fatalf("%x", m)
			}
			piece := of(t, m, 4).bytes
			if len(piece) == 0 {
				break
			}
			content = append(content, piece...)
		}
		_, _ = s.ask.Write(framed(appendNumber(nil, 1, packetEnd)))
		if m := s.next(); of(t, m, 1).value != packetEnd || s.status() != "0" || string(content) != "of b/c" || sent != len(content) {
			t.Errorf("%x, %q, %d bytes", m, content, sent)
		}
	})
	t.Run("or is a text", func(t *testing.T) {
		s := c.call(methodFiles, http.Header{"Dir-Name": {"dockerfile"}})
		if got := strings.Join(named(s), " "); got != "Dockerfile" {
			t.Errorf("%q", got)
		}
	})
	for name, number := range map[string]uint64{"no directory": 0, "no link": 3, "nothing that was not named": 1 << 30} {
		t.Run("but "+name+" can be asked for as a file", func(t *testing.T) {
			s := c.call(methodFiles, http.Header{"Dir-Name": {"context"}, "Followpaths": {"b"}})
			named(s)
			_, _ = s.ask.Write(framed(appendNumber(appendNumber(nil, 1, packetAsk), 3, number)))
			if m := s.next(); of(t, m, 1).value != packetError || s.status() != "2" {
				t.Errorf("%x", m)
			}
		})
	}
	t.Run("and no other", func(t *testing.T) {
		for _, name := range []string{"", "..", dir, filepath.Dir(dir), "/", "context/"} {
			if got := c.call(methodFiles, http.Header{"Dir-Name": {name}}).status(); got != "5" {
				t.Errorf("%q ends with %q", name, got)
			}
		}
	})
	t.Run("a file that cannot be read is told, not sent as an empty one", func(t *testing.T) {
		s := c.call(methodFiles, http.Header{"Dir-Name": {"context"}, "Followpaths": {"a"}})
		named(s)
		if err := errors.Join(os.Remove(filepath.Join(dir, "a")), os.Symlink("/etc/passwd", filepath.Join(dir, "a"))); err != nil {
			t.Fatal(err)
		}
		_, _ = s.ask.Write(framed(appendNumber(appendNumber(nil, 1, packetAsk), 3, 0)))
		if m := s.next(); of(t, m, 1).value != packetError || !bytes.Contains(m, []byte("cannot send a")) || s.status() != "2" {
			t.Errorf("%q", m)
		}
	})
}
