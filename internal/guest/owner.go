package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// owner is the process outside that started this bottle.
type owner struct {
	conn     *net.UnixConn
	messages chan []byte
	// gone is closed when the owner ended, in whatever way.
	gone chan struct{}
}

func openOwner() (*owner, error) {
	f := os.NewFile(wire.SetupFD, "setup")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the owner: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("cannot reach the owner: not a unix socket")
	}
	o := &owner{conn: conn, messages: make(chan []byte), gone: make(chan struct{})}
	go o.listen()
	return o, nil
}

// listen hands over two messages and then waits for the end.
func (o *owner) listen() {
	defer close(o.gone)
	for {
		buf := make([]byte, wire.MaxMessage)
		n, err := o.conn.Read(buf)
		if err != nil {
			return
		}
		o.messages <- buf[:n]
	}
}

func (o *owner) receive(v any) error {
	select {
	case m := <-o.messages:
		return wire.Decode(m, v)
	case <-o.gone:
		return io.ErrUnexpectedEOF
	}
}

func (o *owner) send(v any, files ...*os.File) error {
	message, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot answer the owner: %w", err)
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := o.conn.WriteMsgUnix(message, rights, nil); err != nil {
		return fmt.Errorf("cannot answer the owner: %w", err)
	}
	return nil
}
