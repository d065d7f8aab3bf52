package docker

import (
	"encoding/json"
	"strings"
)

// The system calls of the git gate's container are those of an engine's default profile without
// what a git server has no use for, and with the one thing that the default refuses to who has no
// capability: a process may be started in user, pid, ipc and network namespaces of its own, which
// is how each git is kept from the network. It gets no mount namespace, and no way into another's;
// nothing can be traced or mounted, and no netlink socket be made, so that the rights over a
// namespace's own network lead nowhere. The gate's own filter follows when it has been set up.
const gateCalls = `
		accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod clock_getres clock_gettime
		clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
		epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat
		faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fcntl fdatasync fgetxattr flistxattr flock fork
		fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
		getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid
		getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
		gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
		ioprio_get kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lgetxattr link linkat listen
		listxattr listxattrat llistxattr lseek lstat madvise membarrier memfd_create mincore mkdir mkdirat mmap mprotect
		mremap mseal msync munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
		poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink
		readlinkat readv recvfrom recvmmsg recvmsg rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
		rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
		sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
		sched_rr_get_interval sched_setaffinity sched_yield seccomp select sendfile sendmmsg sendmsg sendto
		set_robust_list set_tid_address setgid setgroups setitimer setpgid setpriority setresgid setresuid setrlimit setsid setsockopt setuid shutdown sigaltstack
		signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync_file_range sysinfo tee tgkill time
		timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
		timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid write
		writev`

type seccompProfile struct {
	DefaultAction string        `json:"defaultAction"`
	Syscalls      []seccompRule `json:"syscalls"`
}

type seccompRule struct {
	Names    []string          `json:"names"`
	Action   string            `json:"action"`
	Args     []seccompArgument `json:"args,omitempty"`
	ErrnoRet *uint             `json:"errnoRet,omitempty"`
}

type seccompArgument struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"` // what a masked one has to be
	Op       string `json:"op"`
}

// The words of an engine's profiles, and Linux's own numbers: this program may be another system's.
const (
	linuxENOSYS  = 38
	linuxUnix    = 1 // families of sockets
	linuxIPv4    = 2
	linuxIPv6    = 10
	linuxNewOnes = 0x00020000 | 0x02000000 | 0x04000000 // CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS

	seccompAllow  = "SCMP_ACT_ALLOW"
	seccompErrno  = "SCMP_ACT_ERRNO"
	seccompEqual  = "SCMP_CMP_EQ"
	seccompMasked = "SCMP_CMP_MASKED_EQ"
)

// gateSeccomp is the profile as an engine takes it.
func gateSeccomp() string {
	rule := func(name, op string, value uint64) seccompRule {
		return seccompRule{Names: []string{name}, Action: seccompAllow, Args: []seccompArgument{{Value: value, Op: op}}}
	}
	absent := uint(linuxENOSYS) // its flags cannot be seen: fall back to clone
	p := seccompProfile{DefaultAction: seccompErrno, Syscalls: []seccompRule{
		{Names: strings.Fields(gateCalls), Action: seccompAllow},
		rule("clone", seccompMasked, linuxNewOnes),
		{Names: []string{"clone3"}, Action: seccompErrno, ErrnoRet: &absent},
		rule("socket", seccompEqual, linuxUnix), rule("socket", seccompEqual, linuxIPv4), rule("socket", seccompEqual, linuxIPv6),
	}}
	raw, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	return string(raw)
}
