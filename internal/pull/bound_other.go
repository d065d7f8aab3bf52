//go:build !linux

package pull

// bound has no way to limit a process that runs; GIT_ALLOC_LIMIT limits each of its allocations.
func bound(int) error { return nil }
