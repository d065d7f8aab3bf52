package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// owner is this process's end of a guest's setup socket. While it is open the bottle lives.
type owner struct{ conn *net.UnixConn }

// answerLimit bounds how long a guest may take for one step when ctx has no earlier end.
const answerLimit = 30 * time.Second

// close lets go of the socket; of none, too.
func (o *owner) close() {
	if o != nil {
		_ = o.conn.Close()
	}
}

// send writes one message.
func (o *owner) send(v any) error {
	message, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(message) > wire.MaxMessage {
		return fmt.Errorf("cannot tell the guest: %d bytes are more than one message holds", len(message))
	}
	_, err = o.conn.Write(message)
	return err
}

// receive reads one message and the files that came with it. The end of ctx ends it.
func (o *owner) receive(ctx context.Context, v any) ([]*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = o.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf, rights := make([]byte, wire.MaxMessage), make([]byte, unix.CmsgSpace(4*16))
	n, rn, flags, _, err := o.conn.ReadMsgUnix(buf, rights)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
	files, err := parseRights(rights[:rn])
	if err == nil && flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) != 0 {
		err = errors.New("its message is truncated")
	}
	if err == nil {
		err = wire.Decode(buf[:n], v)
	}
	if err != nil {
		closeFiles(files)
		return nil, err
	}
	return files, nil
}

func parseRights(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			closeFiles(files)
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "listener"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
