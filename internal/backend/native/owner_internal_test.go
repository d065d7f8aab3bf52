package native

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// TestWhatAGuestSaidLastIsReceived has a guest end right after its report, and the bottle with it
// before the report was read.
func TestWhatAGuestSaidLastIsReceived(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "setup")
		conn, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	guest := &owner{ends[1]}
	if err := guest.send(wire.Report{Problem: "the disk is full"}); err != nil {
		t.Fatal(err)
	}
	guest.close()
	l := &life{owner: &owner{ends[0]}}
	if err := l.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	var r wire.Report
	if _, err := l.owner.receive(t.Context(), &r); err != nil || r.Problem != "the disk is full" {
		t.Errorf("received %+v, %v", r, err)
	}
	if _, err := l.owner.receive(t.Context(), &r); err == nil {
		t.Error("there was more to receive")
	}
	l.owner.close()
}
