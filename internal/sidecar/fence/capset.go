package fence

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropAll empties the effective, permitted and inheritable sets of every thread.
func dropAll() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return allThreads("drop the capabilities", unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])))
}
