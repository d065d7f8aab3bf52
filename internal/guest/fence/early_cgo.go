//go:build cgo

package fence

// Early is whether calls on every thread work before the bottle has its own /proc: with cgo
// the threads are counted there, and the host's /proc shows those of another process.
const Early = false
