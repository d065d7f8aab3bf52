package cli

import "golang.org/x/sys/unix"

// The requests of ioctl(2) for the settings of a terminal.
const (
	getSettings = unix.TCGETS
	setSettings = unix.TCSETS
)
