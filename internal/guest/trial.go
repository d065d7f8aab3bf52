package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/fence"
	"github.com/bot-bottle/bot-bottle/internal/guest/selfcheck"
	"github.com/bot-bottle/bot-bottle/internal/guest/session"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// nobody is whom a trial becomes.
const nobody = 65534

// trial does, in a container that ends with it, what a runtime may not be able to do or may not
// hold, and prints why it cannot hold a bottle, or that it can.
func trial() error {
	var name unix.Utsname
	err := try()
	if err == nil {
		err = unix.Uname(&name)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, err)
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, wire.TrialHeld+unix.ByteSliceToString(name.Release[:]))
	return err
}

func try() error {
	if err := first(); err != nil {
		return err
	}
	if err := underGVisor(); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	reaper := session.NewReaper()
	go reaper.Run(stop)
	if err := fence.DropBounding(); err != nil {
		return err
	}
	if _, err := shut(&wire.Setup{Linked: true, UID: nobody, GID: nobody, Home: "/"}); err != nil {
		return err
	}
	var open []error
	for _, c := range selfcheck.Trial(looker(session.NewServer(reaper, "/"), lookTold)) {
		if !c.Held {
			open = append(open, fmt.Errorf("%s: %s", c.Name, c.How))
		}
	}
	return errors.Join(open...)
}

// underGVisor fails where the kernel is not gVisor's: there are engines that are asked for one
// runtime and take another. It is for before the filter, which refuses the kernel's log.
func underGVisor() error {
	const readAll = 3 // see syslog(2)
	log := make([]byte, 8<<10)
	n, err := unix.Klogctl(readAll, log)
	if err == nil && bytes.Contains(log[:n], []byte("Starting gVisor")) {
		return nil
	}
	var name unix.Utsname
	_ = unix.Uname(&name)
	return errors.New(wire.TrialOther + "the engine started it on the kernel " + unix.ByteSliceToString(name.Release[:]))
}
