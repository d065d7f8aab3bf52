//go:build !linux

package demo

// namespace has nothing to try: the adversary runs in a bottle, which is Linux.
func namespace() (bool, string) { return false, "this is no bottle" }
