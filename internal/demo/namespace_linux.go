package demo

import "syscall"

// namespace tries to be root in a user namespace of its own.
func namespace() (bool, string) {
	if err := syscall.Unshare(syscall.CLONE_NEWUSER); err != nil {
		return false, short(err)
	}
	return true, "made a user namespace"
}
