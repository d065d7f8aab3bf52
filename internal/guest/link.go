package guest

import (
	"errors"
	"fmt"
	"net"

	"github.com/bot-bottle/bot-bottle/internal/guest/fence"
	"github.com/bot-bottle/bot-bottle/internal/guest/netns"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
)

// serveLink is the first process of the third container, which makes the network of a bottle whose
// kernel is gVisor's. Nothing of the agent's ever runs here. When the listeners are with the
// sidecar, what is left is a process without rights that holds the namespace until its owner's
// streams or the sidecar end.
func serveLink() error { return overStreams(linked) }

func linked(outside *mux.Session) error {
	first, err := outside.Accept()
	if err != nil {
		return fmt.Errorf("cannot reach the owner: %w", err)
	}
	o := wire.NewConn(first)
	sidecar, err := handOver(o, raiseLink)
	if err != nil {
		return err
	}
	defer together(sidecar, outside)()
	<-outside.CloseChan()
	return nil
}

// raiseLink makes what raise makes, of a pair of devices, and gives up all that it needed.
func raiseLink() (*net.UnixListener, netns.Listeners, error) {
	handover, err := meet()
	if err != nil {
		return nil, nil, err
	}
	listeners, err := netns.Link()
	if err != nil {
		return nil, nil, err
	}
	for _, step := range []func() error{fence.DropBounding, fence.NoNewPrivileges, fence.DropCapabilities, fence.Seccomp, fence.Undumpable} {
		if err := step(); err != nil {
			return nil, nil, errors.Join(err, listeners.Close())
		}
	}
	return handover, listeners, nil
}

// join is a guest's part of a network that a link has made: none, but to be sure of its kernel, to
// give up what the network could be changed with, and to say so.
func join(o *wire.Conn) error {
	for _, step := range []func() error{underGVisor, fence.DropBounding} {
		if err := step(); err != nil {
			return errors.Join(err, o.SendJSON(wire.KindMessage, wire.Progress{Problem: err.Error()}))
		}
	}
	return o.SendJSON(wire.KindMessage, wire.Progress{Listeners: []string{}})
}
