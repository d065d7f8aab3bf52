package session

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// client serves one session and returns its connection, which buffers nothing.
func client(t *testing.T, req wire.Request) *wire.Conn {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	reaper := NewReaper()
	go reaper.Run(stop)
	ours, theirs := net.Pipe()
	go NewServer(reaper, "/").session(wire.NewConn(theirs))
	c := wire.NewConn(ours)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SendJSON(wire.KindRequest, req); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOutputThatNobodyReadYetComesBeforeTheExit(t *testing.T) {
	for range 40 { // what is out of order loses a race, so not every time
		t.Run("again", unreadOutput)
	}
}

func unreadOutput(t *testing.T) {
	const size, unread = 130000, 60000 // a pipe holds what is unread, so that the command ends
	done := filepath.Join(t.TempDir(), "done")
	if err := unix.Mkfifo(done, 0o600); err != nil {
		t.Fatal(err)
	}
	c := client(t, wire.Request{Op: wire.OpExec, NoIn: true, Args: []string{
		"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do head -c 10000 /dev/zero; done; echo >" + done,
	}})
	got, waited := 0, false
	for {
		kind, payload, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case wire.KindStdout:
			got += len(payload)
		case wire.KindExit:
			if got != size {
				t.Errorf("%d bytes came before the exit, want %d", got, size)
			}
			return
		}
		if got >= size-unread && !waited {
			waited = true
			if _, err := os.ReadFile(done); err != nil { // returns when the command has written all
				t.Fatal(err)
			}
		}
	}
}

func TestASessionMustBeginWithARequestAndKeepItsWindow(t *testing.T) {
	t.Run("an unknown operation", func(t *testing.T) {
		c := client(t, wire.Request{Op: "reboot"})
		kind, payload, err := c.Receive()
		if err != nil || kind != wire.KindFailure || !strings.Contains(string(payload), "unknown operation") {
			t.Errorf("%v %s %v", kind, payload, err)
		}
	})
	t.Run("more input than the window ends the command", func(t *testing.T) {
		c := client(t, wire.Request{Op: wire.OpExec, Args: []string{"/bin/sleep", "1000"}})
		go func() {
			for range 100 { // sleep reads nothing, so no credit comes back
				if c.Send(wire.KindStdin, make([]byte, wire.InputChunk)) != nil {
					return
				}
			}
		}()
		for {
			kind, payload, err := c.Receive()
			if err != nil {
				return // cut off
			}
			if kind == wire.KindExit {
				if !strings.Contains(string(payload), "TERM") {
					t.Errorf("%s", payload)
				}
				return
			}
		}
	})
}
