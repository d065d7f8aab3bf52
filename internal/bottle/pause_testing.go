//go:build testpause

package bottle

import (
	"io"
	"net"
	"os"
	"strings"
)

// pause holds the run before the phase that BOT_BOTTLE_TEST_PAUSE names, as phase:socket. Who
// listens on that socket learns that the phase is reached, and lets the run go on by closing the
// connection.
func pause(phase string) {
	at, socket, _ := strings.Cut(os.Getenv("BOT_BOTTLE_TEST_PAUSE"), ":")
	if at != phase {
		return
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}
