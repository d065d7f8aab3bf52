package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/fence"
	"github.com/bot-bottle/bot-bottle/internal/guest/netns"
	"github.com/bot-bottle/bot-bottle/internal/guest/rootfs"
	"github.com/bot-bottle/bot-bottle/internal/guest/selfcheck"
	"github.com/bot-bottle/bot-bottle/internal/guest/session"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/stdio"
)

// serveContainer is the guest as the first process of a container: the namespaces and the file
// system are the engine's work, the network and the fences are ours. It ends with its streams.
func serveContainer() error {
	if os.Getpid() != 1 {
		return errors.New("cannot be a guest: not the first process of a container; only a backend starts this")
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	if err := fence.Undumpable(); err != nil {
		return err
	}
	streams, err := stdio.Take()
	if err != nil {
		return err
	}
	outside, err := mux.Guest(streams)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- contained(outside) }()
	select {
	case <-outside.CloseChan():
		return nil
	case err := <-failed:
		return err
	}
}

// contained is the life of a bottle in a container.
func contained(outside *mux.Session) error {
	first, err := outside.Accept()
	if err != nil {
		return fmt.Errorf("cannot reach the owner: %w", err)
	}
	o := wire.NewConn(first)
	var s wire.Setup
	if err := message(o, &s); err != nil {
		return fmt.Errorf("cannot read the setup: %w", err)
	}
	if s.UID <= 0 || s.GID <= 0 {
		return errors.New("cannot run commands as root: the setup names no user")
	}
	handover, listeners, err := raise()
	if err != nil {
		return errors.Join(err, o.SendJSON(wire.KindMessage, wire.Progress{Problem: err.Error()}))
	}
	if err := o.SendJSON(wire.KindMessage, wire.Progress{Listeners: listeners.Names()}); err != nil {
		return err
	}
	sidecar, err := hand(handover, listeners)
	if err != nil {
		return err
	}
	// The two live together: the connection says nothing more, and its end is the end.
	defer sidecar.Close()
	go func() {
		_, _ = io.Copy(io.Discard, sidecar)
		_ = outside.Close()
	}()
	var launch wire.Launch
	if err := message(o, &launch); err != nil {
		return fmt.Errorf("cannot read the launch: %w", err)
	}
	reaper := session.NewReaper()
	go reaper.Run(outside.CloseChan())
	server := session.NewServer(reaper, s.Home)
	before := selfcheck.Hidden(s.Hidden)
	report := wire.Report{}
	if report.Fences, err = shut(&s); err != nil {
		return errors.Join(err, o.SendJSON(wire.KindMessage, wire.Report{Problem: err.Error()}))
	}
	report.Checks = selfcheck.Run(s.Hidden, look(server))
	for i, c := range report.Checks {
		if b := before[c.Name]; !c.Held && b.Held {
			report.Checks[i] = b
		}
	}
	if err := o.SendJSON(wire.KindMessage, report); err != nil {
		return err
	}
	for _, c := range report.Checks {
		if !c.Held {
			return fmt.Errorf("cannot let anything run here: %s: %s", c.Name, c.How)
		}
	}
	return server.Serve(outside)
}

// look needs no shell: an image may have none. The program is the one that runs here.
func look(server *session.Server) selfcheck.Shell {
	return func(_ string, deadline time.Duration) (string, error) {
		return server.Output(deadline, wire.Program, "guest", modeLook)
	}
}

// message reads the owner's next message.
func message(o *wire.Conn, v any) error {
	kind, payload, err := o.Receive()
	if err != nil {
		return err
	}
	if kind != wire.KindMessage {
		return wire.ErrFrame
	}
	return wire.Decode(payload, v)
}

// raise makes the network and a place where the sidecar takes over its listeners.
func raise() (*net.UnixListener, netns.Listeners, error) {
	if err := fence.DropBounding(); err != nil {
		return nil, nil, err
	}
	handover, err := net.ListenUnix("unix", &net.UnixAddr{Name: wire.HandoverSocket, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot meet the sidecar: %w", err)
	}
	// The sidecar is another user, in a container of its own; nothing else runs here yet.
	if err := os.Chmod(wire.HandoverSocket, 0o666); err != nil { //nolint:gosec // see above
		return nil, nil, fmt.Errorf("cannot meet the sidecar: %w", err)
	}
	listeners, err := network()
	return handover, listeners, err
}

// hand gives the listeners away, once, and takes the meeting place down.
func hand(handover *net.UnixListener, listeners netns.Listeners) (conn *net.UnixConn, err error) {
	defer handover.Close() // which unlinks it
	if conn, err = handover.AcceptUnix(); err != nil {
		return nil, fmt.Errorf("cannot meet the sidecar: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	names, err := json.Marshal(listeners.Names())
	if err != nil {
		return nil, fmt.Errorf("cannot name the listeners: %w", err)
	}
	var fds []int
	for _, l := range listeners {
		fds = append(fds, int(l.File.Fd()))
	}
	if _, _, err := conn.WriteMsgUnix(names, unix.UnixRights(fds...), nil); err != nil {
		return nil, fmt.Errorf("cannot hand the listeners to the sidecar: %w", err)
	}
	return conn, listeners.Close()
}

// shut becomes the agent's user and gives up all that building needed.
func shut(s *wire.Setup) (fences []string, err error) {
	if left, err := os.ReadDir(filepath.Dir(wire.HandoverSocket)); err != nil || len(left) > 0 {
		return nil, errors.Join(err, fmt.Errorf("cannot seal: %d files are left in the meeting place", len(left)))
	}
	if err := fence.Limit(fence.Limits{Processes: s.Limits.Processes, OpenFiles: s.Limits.OpenFiles}); err != nil {
		return nil, err
	}
	if err := fence.NoNewPrivileges(); err != nil {
		return nil, err
	}
	if err := fence.Become(s.UID, s.GID); err != nil {
		return nil, err
	}
	abi, err := fence.Landlock(append(rootfs.Writable(), "/var/tmp", s.Home)...)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{fence.DropCapabilities, fence.Seccomp, fence.Undumpable} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	fences = []string{"no capabilities", "no_new_privs", "seccomp"}
	if abi > 0 {
		fences = append(fences, fmt.Sprintf("Landlock ABI %d", abi))
	}
	return fences, nil
}
