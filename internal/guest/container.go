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
func serveContainer() error { return overStreams(contained) }

// overStreams lives for as long as the container's streams, and no longer than life.
func overStreams(life func(*mux.Session) error) error {
	if err := first(); err != nil {
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
	go func() { failed <- life(outside) }()
	select {
	case <-outside.CloseChan():
		return nil
	case err := <-failed:
		return err
	}
}

// first closes the first process of a container to all that come after it.
func first() error {
	if os.Getpid() != 1 {
		return errors.New("cannot be a guest: not the first process of a container; only a backend starts this")
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	return fence.Undumpable()
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
	if s.Linked {
		err = join(o)
	} else {
		var sidecar *net.UnixConn
		sidecar, err = handOver(o, raise)
		defer together(sidecar, outside)()
	}
	if err != nil {
		return err
	}
	var launch wire.Launch
	if err := message(o, &launch); err != nil {
		return fmt.Errorf("cannot read the launch: %w", err)
	}
	reaper := session.NewReaper()
	if s.Linked {
		reaper = session.NewSilentReaper()
	}
	go reaper.Run(outside.CloseChan())
	server := session.NewServer(reaper, s.Home)
	before := selfcheck.Hidden(s.Hidden)
	report := wire.Report{}
	if report.Fences, err = shut(&s); err != nil {
		return errors.Join(err, o.SendJSON(wire.KindMessage, wire.Report{Problem: err.Error()}))
	}
	if s.Linked {
		report.Checks = selfcheck.RunLinked(s.Hidden, netns.LinkName, looker(server, lookTold))
	} else {
		report.Checks = selfcheck.Run(s.Hidden, looker(server))
	}
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

// looker needs no shell: an image may have none. The program is the one that runs here.
func looker(server *session.Server, how ...string) selfcheck.Shell {
	return func(_ string, deadline time.Duration) (string, error) {
		return server.Output(deadline, append([]string{wire.Program, "guest", modeLook}, how...)...)
	}
}

// handOver makes the network, tells the owner, and gives the listeners to the sidecar.
func handOver(o *wire.Conn, make func() (*net.UnixListener, netns.Listeners, error)) (*net.UnixConn, error) {
	handover, listeners, err := make()
	if err != nil {
		return nil, errors.Join(err, o.SendJSON(wire.KindMessage, wire.Progress{Problem: err.Error()}))
	}
	if err := o.SendJSON(wire.KindMessage, wire.Progress{Listeners: listeners.Names()}); err != nil {
		return nil, err
	}
	return hand(handover, listeners)
}

// together ends the bottle with its sidecar: the connection says nothing more, and its end is the
// end. What it returns closes it.
func together(sidecar *net.UnixConn, outside *mux.Session) func() {
	if sidecar == nil {
		return func() {}
	}
	go func() {
		_, _ = io.Copy(io.Discard, sidecar)
		_ = outside.Close()
	}()
	return func() { _ = sidecar.Close() }
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
	handover, err := meet()
	if err != nil {
		return nil, nil, err
	}
	listeners, err := network()
	return handover, listeners, err
}

func meet() (*net.UnixListener, error) {
	handover, err := net.ListenUnix("unix", &net.UnixAddr{Name: wire.HandoverSocket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot meet the sidecar: %w", err)
	}
	// The sidecar is another user, in a container of its own; nothing else runs here yet.
	if err := os.Chmod(wire.HandoverSocket, 0o666); err != nil { //nolint:gosec // see above
		return nil, errors.Join(fmt.Errorf("cannot meet the sidecar: %w", err), handover.Close())
	}
	return handover, nil
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
	left, err := os.ReadDir(filepath.Dir(wire.HandoverSocket))
	if s.Linked && errors.Is(err, os.ErrNotExist) {
		err = nil // the meeting place is the link's
	}
	if err != nil || len(left) > 0 {
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
