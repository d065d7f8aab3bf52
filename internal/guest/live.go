package guest

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/fence"
	"github.com/bot-bottle/bot-bottle/internal/guest/netns"
	"github.com/bot-bottle/bot-bottle/internal/guest/rootfs"
	"github.com/bot-bottle/bot-bottle/internal/guest/selfcheck"
	"github.com/bot-bottle/bot-bottle/internal/guest/session"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// live is the whole life of a bottle: built, sealed, proved, and then at the service of sessions.
func live(o *owner) error {
	if fence.Early { // while there are few threads to tell and the owner is still busy
		if err := fence.DropBounding(); err != nil {
			return err
		}
	}
	var s wire.Setup
	if err := o.receive(&s); err != nil {
		return fmt.Errorf("cannot read the setup: %w", err)
	}
	if err := prepare(o, &s); err != nil {
		return err
	}
	l, err := sessions()
	if err != nil {
		return err
	}
	reaper := session.NewReaper()
	go reaper.Run(o.gone)
	server := session.NewServer(reaper, s.Home)

	var launch wire.Launch
	if err := o.receive(&launch); err != nil {
		return fmt.Errorf("cannot read the launch: %w", err)
	}
	report := wire.Report{}
	if report.Fences, err = seal(&s, launch.Trust); err != nil {
		return errors.Join(err, o.send(wire.Report{Problem: err.Error()}))
	}
	report.Checks = selfcheck.Run(s.Hidden, server.Shell)
	if err := o.send(report); err != nil {
		return err
	}
	for _, c := range report.Checks {
		if !c.Held {
			return fmt.Errorf("cannot let anything run here: %s: %s", c.Name, c.How)
		}
	}
	return server.Serve(l)
}

// prepare builds the bottle and hands its listeners out.
func prepare(o *owner, s *wire.Setup) error {
	var listeners netns.Listeners
	var work errgroup.Group
	work.Go(func() (err error) {
		listeners, err = network()
		return err
	})
	work.Go(func() error { return rootfs.Build(s) })
	if err := work.Wait(); err != nil {
		denied := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
		return errors.Join(err, o.send(wire.Progress{Problem: err.Error(), Denied: denied}))
	}
	files := make([]*os.File, 0, len(listeners))
	for _, l := range listeners {
		files = append(files, l.File)
	}
	if err := o.send(wire.Progress{Listeners: listeners.Names()}, files...); err != nil {
		return err
	}
	return listeners.Close()
}

func network() (netns.Listeners, error) {
	if err := netns.Up(); err != nil {
		return nil, err
	}
	listeners, err := netns.Listen()
	if err != nil {
		return nil, err
	}
	if err := netns.Redirect(listeners); err != nil {
		return nil, errors.Join(err, listeners.Close())
	}
	return listeners, nil
}

// seal gives up, step by step, everything that building needed. The order matters: Landlock and
// seccomp want no_new_privs, and the filter refuses what comes before it.
func seal(s *wire.Setup, trust string) (fences []string, err error) {
	if !fence.Early {
		if err := fence.DropBounding(); err != nil {
			return nil, err
		}
	}
	if err := rootfs.Seal(s.Trust, trust); err != nil {
		return nil, err
	}
	if err := fence.Limit(fence.Limits{Processes: s.Limits.Processes, OpenFiles: s.Limits.OpenFiles}); err != nil {
		return nil, err
	}
	if err := fence.NoNewPrivileges(); err != nil {
		return nil, err
	}
	abi, err := fence.Landlock(append(rootfs.Writable(), s.Home)...)
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
