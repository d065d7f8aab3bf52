package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// CopyIn implements backend.Files.
func (c Client) CopyIn(ctx context.Context, h backend.Handle, dir string, tar io.Reader) error {
	conn, err := c.open(h, wire.Request{Op: wire.OpCopyIn, Path: dir})
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, sendErr := io.Copy(wire.NewWriter(conn), tar)
	if sendErr == nil {
		sendErr = conn.Send(wire.KindDataEnd, nil)
	}
	// The guest's own reason, when it has one, is why it stopped reading.
	_, err = io.Copy(io.Discard, wire.NewReader(conn))
	var failure *wire.Failure
	if err != nil && sendErr != nil && !errors.As(err, &failure) {
		err = sendErr
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("cannot copy into %s of %q: %w", dir, h.ID, reached(h, err))
	}
	return nil
}

// CopyOut implements backend.Files. The first entry of the stream is the last element of path.
func (c Client) CopyOut(ctx context.Context, h backend.Handle, path string) (io.ReadCloser, error) {
	conn, err := c.open(h, wire.Request{Op: wire.OpCopyOut, Path: path})
	if err != nil {
		return nil, err
	}
	out := &copyOut{conn: conn, from: wire.NewReader(conn), h: h}
	out.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	// The first bytes tell whether there is anything: a missing path is an error now.
	n, err := out.from.Read(out.first[:])
	if err != nil {
		_ = out.Close()
		return nil, reached(h, err)
	}
	out.head = out.first[:n]
	return out, nil
}

// copyOut is a tar stream on its way out.
type copyOut struct {
	conn  *wire.Conn
	from  io.Reader
	h     backend.Handle
	stop  func() bool
	first [512]byte
	head  []byte
}

func (c *copyOut) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = reached(c.h, err)
	}
	return n, err
}

func (c *copyOut) Close() error {
	c.stop()
	return c.conn.Close()
}
