//go:build !cgo

package fence

// Early is whether calls on every thread work before the bottle has its own /proc: the Go
// runtime makes them itself.
const Early = true
