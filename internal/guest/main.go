// Package guest is the code inside a bottle: its init, which builds it, seals it, proves that it
// is closed, and runs commands in it.
//
// Its one rule: it knows nothing worth stealing. It imports no secret, no CA and no control of the
// sidecar, and by the time that the first command runs it may do no more than that command.
package guest

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/fence"
	"github.com/bot-bottle/bot-bottle/internal/guest/selfcheck"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// ModeProbe as the first argument only tries whether a bottle could be built here.
const ModeProbe = "probe"

// modeLook, as the first argument, is a part of the self-check.
const modeLook = "look"

// lookTold, behind it, is for a kernel that tells everybody of init what opens nothing.
const lookTold = "told"

// Main is the hidden `guest` subcommand; a backend starts it as the first process of new
// namespaces with the descriptors that package wire names. It returns when its owner is gone, and
// with it every process of the bottle ends.
func Main(args []string) int {
	if len(args) > 0 && args[0] == ModeProbe {
		return probe()
	}
	if len(args) > 0 && args[0] == modeLook {
		look(args[1:])
		return 0
	}
	face := serve
	if len(args) > 0 {
		switch args[0] {
		case wire.ContainerMode:
			face = serveContainer
		case wire.LinkMode:
			face = serveLink
		case wire.TrialMode:
			face = trial
		}
	}
	if err := face(); err != nil {
		fmt.Fprintf(os.Stderr, "bot-bottle guest: %v\n", err)
		return 1
	}
	return 0
}

// look prints what a program of the agent's can open of init.
func look(args []string) {
	if len(args) > 0 && args[0] == lookTold {
		selfcheck.LookTold(os.Stdout)
		return
	}
	selfcheck.Look(os.Stdout)
}

func serve() error {
	if os.Getpid() != 1 {
		return errors.New("cannot be a guest: not the first process of a bottle; only a backend starts this")
	}
	if err := closeOnExec(); err != nil {
		return err
	}
	if err := fence.Undumpable(); err != nil {
		return err
	}
	o, err := openOwner()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- live(o) }()
	select {
	case <-o.gone:
		return nil
	case err := <-failed:
		return err
	}
}

// closeOnExec keeps every descriptor that was handed over from the programs of the bottle.
func closeOnExec() error {
	if err := unix.CloseRange(wire.SetupFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("cannot keep descriptors from programs: %w", err)
	}
	return nil
}

func sessions() (net.Listener, error) {
	f := os.NewFile(wire.SessionsFD, "sessions")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for sessions: %w", err)
	}
	return l, nil
}
