package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// The files in a run directory. The second group is mounted into the agent's container.
const (
	lockName  = "docker.lock"
	guestName = "guest.sock"
	// statusName is where other processes of the operator reach the sidecar.
	statusName = "sidecar.sock"

	passwdName = "passwd"
	groupName  = "group"
	trustName  = "ca-certificates.crt"
	namesName  = "resolv.conf"

	// profileName is for an engine that reads the git gate's profile itself.
	profileName = "git-gate-seccomp.json"
)

// removeRun removes what this backend put into a run directory, and the directory if nothing else
// is in it.
func removeRun(run string) error {
	var errs []error
	for _, name := range []string{guestName, statusName, passwdName, groupName, trustName, namesName, profileName, lockName} {
		if err := os.Remove(filepath.Join(run, name)); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(run); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// lock is held by the owner of a run for as long as it lives.
type lock struct{ f *os.File }

// takeLock fails with fault.Exists when another process owns the run.
func takeLock(run string, id instance.ID) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(run, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %q: %w", id, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fault.New(fault.Exists, "cannot prepare %q: it is running", id)
		}
		return nil, fmt.Errorf("cannot lock %q: %w", id, err)
	}
	return &lock{f}, nil
}

func (l *lock) release() { _ = l.f.Close() }

// who is the agent's user: node's own number for root, and the caller's otherwise, so that the
// home is readable on both sides.
type who struct{ uid, gid int }

// home makes the bottle's home and gives it to the agent's user.
func home(p *plan.Plan) (who, error) {
	if err := os.MkdirAll(p.Paths.Home, 0o700); err != nil {
		return who{}, fmt.Errorf("cannot make the bottle's home: %w", err)
	}
	if os.Geteuid() != 0 {
		return who{os.Geteuid(), os.Getegid()}, nil
	}
	info, err := os.Lstat(p.Paths.Home)
	if err != nil || !info.IsDir() {
		return who{}, fmt.Errorf("cannot use %s as the bottle's home: %w", p.Paths.Home, errors.Join(err, unix.ENOTDIR))
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == plan.UID {
		return who{plan.UID, plan.UID}, nil
	}
	if err := give(p.Paths.Home, plan.UID); err != nil {
		return who{}, fmt.Errorf("cannot give the home to the bottle: %w", err)
	}
	return who{plan.UID, plan.UID}, nil
}

// give changes the owner of a tree without following a link; the top comes last, for it tells
// that all is done.
func give(top string, id int) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		return root.Lchown(filepath.FromSlash(path), id, id)
	})
	if err != nil {
		return err
	}
	return root.Chown(".", id, id)
}

// furnish writes the files that take the place of the image's: its accounts, its trust and its resolver.
func furnish(run string, w who) error {
	for name, content := range map[string]string{
		passwdName: fmt.Sprintf("root:x:0:0:root:/:/usr/sbin/nologin\n%s:x:%d:%d::%s:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n", plan.User, w.uid, w.gid, plan.Home),
		groupName:  fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", plan.User, w.gid),
		trustName:  string(hostBundle(bundles())),
		namesName:  "nameserver " + plan.SidecarIPv4 + "\nsearch .\noptions timeout:2 attempts:2\n",
	} {
		path := filepath.Join(run, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("cannot furnish the bottle: %w", err)
		}
		if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // read inside by another user; the directory is ours alone
			return fmt.Errorf("cannot furnish the bottle: %w", err)
		}
	}
	return nil
}

// extendTrust appends to the bundle that is mounted already.
func extendTrust(run, pem string) error {
	f, err := os.OpenFile(filepath.Join(run, trustName), os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot extend the trust bundle: %w", err)
	}
	_, err = f.WriteString("\n" + pem)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot extend the trust bundle: %w", err)
	}
	return nil
}
