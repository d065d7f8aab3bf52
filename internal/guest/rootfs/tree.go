package rootfs

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// tree is a detached copy of mounts, ready to be put in its place.
type tree struct {
	wire.Tree
	fd int
}

// OpenTree makes a detached copy of what is mounted at source and below, with no set-user-id
// programs, no devices unless asked for, and read-only unless writable. Symbolic links lead to
// what they name.
func OpenTree(source string, writable, device bool) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("cannot open %s: %w", source, err)
	}
	if err := restrict(fd, writable, device); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("cannot restrict %s: %w", source, err)
	}
	return fd, nil
}

func restrict(fd int, writable, device bool) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID}
	if !writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if !device {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
}

func openTrees(trees []wire.Tree) ([]tree, error) {
	open := make([]tree, 0, len(trees))
	for _, t := range trees {
		fd := t.FD
		if fd == 0 {
			var err error
			// A device node is written through; only its directory entry is protected.
			if fd, err = OpenTree(t.Source, t.Writable || t.Device, t.Device); err != nil {
				return nil, err
			}
		}
		open = append(open, tree{t, fd})
	}
	return sorted(open), nil
}

func (r *root) attach(trees []tree) error {
	for _, t := range trees {
		if err := r.put(t.fd, t.Target, t.Dir); err != nil {
			return fmt.Errorf("cannot mount %s at %s: %w", t.Source, t.Target, err)
		}
		_ = unix.Close(t.fd)
	}
	return nil
}

// put mounts the tree fd at a path, which is made if it is missing.
func (r *root) put(fd int, target string, dir bool) error {
	place, err := r.place(target, dir)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return unix.MoveMount(fd, "", place, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

func (r *root) place(target string, dir bool) (int, error) {
	if dir {
		return r.mkdir(target)
	}
	fd, err := r.open(target, unix.O_PATH)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, err := r.mkdir(path.Dir(target))
	if err != nil {
		return -1, err
	}
	_ = unix.Close(parent)
	f, err := r.create(target)
	if err != nil {
		return -1, err
	}
	_ = f.Close()
	return r.open(target, unix.O_PATH)
}

// mount makes a new file system at a path.
func (r *root) mount(kind, target string, flags int, options map[string]string) error {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot open a file system of kind %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for key, value := range options {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return fmt.Errorf("cannot set %s=%s for %s: %w", key, value, target, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("cannot make a %s for %s: %w", kind, target, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, flags)
	if err != nil {
		return fmt.Errorf("cannot mount a %s for %s: %w", kind, target, err)
	}
	defer unix.Close(fd)
	if err := r.put(fd, target, true); err != nil {
		return fmt.Errorf("cannot mount a %s at %s: %w", kind, target, err)
	}
	return nil
}
