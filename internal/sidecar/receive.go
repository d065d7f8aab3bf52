package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// listeners are what a backend handed over, by kind.
type listeners struct {
	proxy   []net.Listener
	packets []*net.UDPConn
	streams []net.Listener
}

// shape is what a socket of a name must be.
type shape struct{ domain, kind int }

func shapes() map[string]shape {
	return map[string]shape{
		ListenTCP4: {unix.AF_INET, unix.SOCK_STREAM}, ListenTCP6: {unix.AF_INET6, unix.SOCK_STREAM},
		ListenDNS4: {unix.AF_INET, unix.SOCK_DGRAM}, ListenDNS6: {unix.AF_INET6, unix.SOCK_DGRAM},
		ListenDNST4: {unix.AF_INET, unix.SOCK_STREAM}, ListenDNST6: {unix.AF_INET6, unix.SOCK_STREAM},
	}
}

// receive waits for the one message with the listeners. Every name must be known, come once, and
// belong to a socket of its kind; a way in for TCP is needed.
func receive(ctx context.Context, conn net.Conn) (listeners, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	names, fds, err := receiveFDs(conn)
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "listener")
	}
	defer func() {
		for _, f := range files {
			_ = f.Close() // the net package has its own copy
		}
	}()
	if err != nil {
		return listeners{}, fmt.Errorf("cannot receive the listeners: %w", err)
	}
	var ls listeners
	known := shapes()
	for i, name := range names {
		want, ok := known[name]
		if !ok {
			return listeners{}, fmt.Errorf("cannot receive the listeners: %q is unknown or came twice", name)
		}
		delete(known, name)
		if err := ls.add(files[i], want, name == ListenTCP4 || name == ListenTCP6); err != nil {
			return listeners{}, fmt.Errorf("cannot use the listener %s: %w", name, err)
		}
	}
	if len(ls.proxy) == 0 {
		return listeners{}, errors.New("cannot receive the listeners: there is none for TCP")
	}
	return ls, nil
}

func receiveFDs(conn net.Conn) (names []string, fds []int, err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.New("the descriptor is no unix socket")
	}
	payload, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*64))
	n, oobn, flags, _, err := unixConn.ReadMsgUnix(payload, oob)
	if err != nil {
		return nil, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, fds, err
		}
		fds = append(fds, got...)
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, fds, errors.New("the message was cut off")
	}
	if err := json.Unmarshal(payload[:n], &names); err != nil {
		return nil, fds, fmt.Errorf("the names cannot be read: %w", err)
	}
	if len(names) != len(fds) {
		return nil, fds, fmt.Errorf("%d names came with %d descriptors", len(names), len(fds))
	}
	return names, fds, nil
}

func (ls *listeners) add(file *os.File, want shape, proxy bool) error {
	fd := int(file.Fd())
	domain, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	accepts, err3 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if domain != want.domain || kind != want.kind || (kind == unix.SOCK_STREAM) != (accepts == 1) {
		return errors.New("it is a socket of another kind")
	}
	if kind == unix.SOCK_DGRAM {
		conn, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		udp, ok := conn.(*net.UDPConn)
		if !ok {
			return errors.New("it is no UDP socket")
		}
		ls.packets = append(ls.packets, udp)
		return nil
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	if proxy {
		ls.proxy = append(ls.proxy, listener)
	} else {
		ls.streams = append(ls.streams, listener)
	}
	return nil
}
