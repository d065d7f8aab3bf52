package native

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// errEnded is the end of a conversation with a guest.
var errEnded = io.ErrUnexpectedEOF

// forward hands the listeners to the sidecar in one message whose payload names them.
func forward(to *net.UnixConn, names []string, files []*os.File) error {
	payload, err := json.Marshal(names)
	if err != nil {
		return fmt.Errorf("cannot name the listeners: %w", err)
	}
	fds := make([]int, 0, len(files))
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := to.WriteMsgUnix(payload, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("cannot hand the listeners to the sidecar: %w", err)
	}
	return nil
}
