package native

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// The range from which root takes the id that a bottle's user has outside. No distribution
// allocates from it.
const (
	firstID = 0x70000000
	idCount = 0x0fff0000
)

// ids is who the bottle's user is outside.
type ids struct {
	uid, gid int
	root     bool // the caller is root and the id is the bottle's own
}

// ownsIDs reports whether this process may hand out ids of that range: real root. Root of a user
// namespace that maps fewer, as in a rootless container, is an ordinary user to the world outside,
// and its bottles run as itself.
func ownsIDs() bool {
	return os.Geteuid() == 0 && mapsRange("/proc/self/uid_map") && mapsRange("/proc/self/gid_map")
}

// mapsRange reads a map as user_namespaces(7) lays it out: first inside, first outside, count.
func mapsRange(file string) bool {
	raw, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= firstID && inside+count >= firstID+idCount {
			return true
		}
	}
	return false
}

// rootOutside reports whether root of this namespace is root of the one around it.
func rootOutside(file string) bool {
	raw, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	var inside, outside, count uint64
	_, err = fmt.Sscan(string(raw), &inside, &outside, &count)
	return err != nil || inside == 0 && outside == 0
}

// home makes the bottle's home and decides whose it is: the caller's, or for root that of an id
// that is nobody else's. A home that has such an id already keeps it.
func (d *Driver) home(p *plan.Plan) (ids, error) {
	if err := os.MkdirAll(p.Paths.Home, 0o700); err != nil {
		return ids{}, fmt.Errorf("cannot make the bottle's home: %w", err)
	}
	if !ownsIDs() {
		if os.Geteuid() == 0 && rootOutside("/proc/self/uid_map") {
			return ids{}, fault.WithHint(fault.New(fault.Unsupported, "cannot make a bottle: this user namespace has no user but root, who is root outside too"),
				"run it outside of that namespace, or as an ordinary user")
		}
		return ids{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	info, err := os.Lstat(p.Paths.Home)
	if err != nil || !info.IsDir() {
		return ids{}, fmt.Errorf("cannot use %s as the bottle's home: %w", p.Paths.Home, errors.Join(err, unix.ENOTDIR))
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ids{}, fmt.Errorf("cannot tell whose %s is", p.Paths.Home)
	}
	owner := int(st.Uid)
	if owner >= firstID && owner < firstID+idCount {
		return ids{owner, owner, true}, nil
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(p.Paths.Home))
	id := firstID + int(sum.Sum32()%idCount)
	if err := give(p.Paths.Home, id); err != nil {
		return ids{}, fmt.Errorf("cannot give the home to the bottle: %w", err)
	}
	return ids{id, id, true}, nil
}

// give changes the owner of a tree that no agent has seen yet; the top comes last, for it tells
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

// Capabilities that the guest has in its own namespaces until it seals the bottle.
const (
	capSetPCap  = 8
	capNetAdmin = 12
	capSysAdmin = 21
)

// namespaces describes the guest's process: in seven new namespaces, with one user in it.
func (i ids) namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: plan.UID, HostID: i.uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: plan.UID, HostID: i.gid, Size: 1}},
		AmbientCaps: []uintptr{capSetPCap, capNetAdmin, capSysAdmin},
		Setsid:      true,
	}
	if i.root {
		// Root's groups would stay with the process. Dropping them needs setgroups, once; with
		// the capabilities goes the right to call it again.
		attr.GidMappingsEnableSetgroups = true
		attr.Credential = &syscall.Credential{Uid: plan.UID, Gid: plan.UID}
	}
	return attr
}
