package sidecar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
	"golang.org/x/sys/unix"
)

// maxOperators bounds the connections to the status socket.
const maxOperators = 32

// serveStatus answers other processes of the operator. One that breaks the protocol loses its
// connection and nothing else.
func (p *process) serveStatus(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.status.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	slots := make(chan struct{}, maxOperators)
	for {
		conn, err := p.status.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil && p.joined {
			return nil // the streams have ended, and with them the owner's
		}
		if err != nil {
			return fmt.Errorf("cannot accept on the status socket: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-slots }()
			p.serveOperator(ctx, conn)
		})
	}
}

func (p *process) serveOperator(ctx context.Context, conn net.Conn) {
	if !p.joined && checkPeer(conn) != nil { // the owner's socket has a mode, and no peer but the owner
		conn.Close()
		return
	}
	conn, joined := p.tell(ctx, conn)
	if joined {
		return
	}
	client := &again{conn, bufio.NewReader(conn)}
	hangUp := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if scrapes(client) {
		hangUp()
		p.scraped(ctx, client)
		return
	}
	hangUp()
	var stop atomic.Bool
	_ = control.Serve(ctx, client, p.operatorMethods(&stop)) // a client's own mistake
	if stop.Load() {
		p.end(nil)
	}
}

// checkPeer admits processes of our own user and of root, by what the kernel knows (unix(7)).
func checkPeer(conn net.Conn) error {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("cannot tell who connects: it is no unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("cannot tell who connects: %w", failed)
	}
	if peer.Uid != 0 && peer.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("cannot serve user %d", peer.Uid)
	}
	return nil
}
