package docker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inDir calls do with a short path to a name in a directory: a socket's address holds 107 bytes.
func inDir(dir, name string, do func(path string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
}
