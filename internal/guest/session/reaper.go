package session

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reaper starts processes and collects them, and every orphan of the bottle, as init must.
//
// A process is signalled only under the lock that its collection takes too, so its number still
// means it. All are started by one thread: before ABI 8 a Landlock domain is a thread's, and the
// bottle's processes must be of one domain to see and debug each other.
type Reaper struct {
	forks  chan func()
	silent bool // the kernel, gVisor's, tells no process of its terminal's new size

	mu       sync.Mutex // guards children
	children map[int]*process
}

// process is a child that was started here.
type process struct {
	pid   int
	group bool // signal the rest of its group when it ends
	done  chan struct{}
	// status is set before done is closed.
	status syscall.WaitStatus
}

// NewReaper makes a reaper that nobody else's wait may disturb; Run starts collecting.
func NewReaper() *Reaper {
	return &Reaper{forks: make(chan func()), children: make(map[int]*process)}
}

// NewSilentReaper is NewReaper for a kernel that tells no process of its terminal's new size.
func NewSilentReaper() *Reaper {
	r := NewReaper()
	r.silent = true
	return r
}

// fork runs what it is given on one thread.
func (r *Reaper) fork(stop <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case <-stop:
			return
		case start := <-r.forks:
			start()
		}
	}
}

// Run collects until stop is closed. Every other signal that can be sent from inside the bottle
// is received and ignored: an ignored disposition would be inherited by the agent.
func (r *Reaper) Run(stop <-chan struct{}) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	defer signal.Stop(signals)
	go r.fork(stop)
	for {
		r.collect()
		select {
		case <-stop:
			return
		case <-signals:
		}
	}
}

// launch runs a program and registers it before it can be collected. Run must be running.
func (r *Reaper) launch(path string, argv []string, attr *syscall.ProcAttr, group bool) (p *process, err error) {
	started := make(chan struct{})
	r.forks <- func() {
		defer close(started)
		p, err = r.start(path, argv, attr, group)
	}
	<-started
	return p, err
}

func (r *Reaper) start(path string, argv []string, attr *syscall.ProcAttr, group bool) (*process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid, group: group, done: make(chan struct{})}
	r.children[pid] = p
	return p, nil
}

// signalGroup sends a signal to the process group that p leads, unless p was collected.
func (r *Reaper) signalGroup(p *process, s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.children[p.pid] != p {
		return nil
	}
	return syscall.Kill(-p.pid, s)
}

// signalForeground sends a signal to the foreground group of a terminal, unless p was collected.
func (r *Reaper) signalForeground(p *process, terminal *os.File, s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.children[p.pid] != p {
		return nil
	}
	group := p.pid
	_ = control(terminal, func(fd int) error {
		if front, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && front > 1 {
			group = front
		}
		return nil
	})
	return syscall.Kill(-group, s)
}

func (r *Reaper) collect() {
	for r.collectOne() {
	}
}

func (r *Reaper) collectOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid := zombie()
	if pid <= 0 {
		return false
	}
	p := r.children[pid]
	if p != nil && p.group {
		// The leader is still there as a zombie, so the group's number is still its own.
		_ = syscall.Kill(-pid, syscall.SIGTERM)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err != nil {
		return false
	}
	if p != nil {
		delete(r.children, pid)
		p.status = status
		close(p.done)
	}
	return true
}

// zombie returns a child that has ended, without collecting it; see waitid(2).
func zombie() int {
	const offPid = 16 // of si_pid in siginfo_t, on 64 bits
	var info [128]byte
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(*(*int32)(unsafe.Pointer(&info[offPid])))
}
