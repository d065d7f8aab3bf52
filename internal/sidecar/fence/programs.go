package fence

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/landlock-lsm/go-landlock/landlock"
)

// RaiseWithPrograms is Raise for a process that starts programs and writes files: it and all that
// it starts keep WriteDirs, WriteFiles and ProgramDirs, and lose every system call that reaches
// another process, a kernel key, a mount or the kernel's inside. It returns as Raise does.
func RaiseWithPrograms(o Options) ([]string, error) {
	if err := limits(o.MaxFileSize); err != nil {
		return nil, err
	}
	if err := allThreads("give up new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return nil, err
	}
	held := []string{"rlimits", "no_new_privs"}
	for _, raise := range []func(Options) (string, error){landlockedWithPrograms, uncapable, filteredWithPrograms} {
		name, err := raise(o)
		if err != nil {
			return nil, err
		}
		held = append(held, name)
	}
	return held, nil
}

// landlockedWithPrograms leaves signals alone: before ABI 8 every thread has a domain of its own and
// could not end what another one started. That the namespaces of those programs are others, and the
// filter, stand for it.
func landlockedWithPrograms(o Options) (string, error) {
	return landlockedTo(0,
		landlock.ROFiles(o.ReadFiles...).IgnoreIfMissing(),
		landlock.RODirs(append(o.ReadDirs, o.ProgramDirs...)...).IgnoreIfMissing(),
		landlock.RWFiles(o.WriteFiles...).IgnoreIfMissing(),
		landlock.RWDirs(o.WriteDirs...).WithRefer(),
	)
}

func filteredWithPrograms(Options) (string, error) { return install(programFilter()) }

// programFilter refuses what no git needs. The rest stays: what a program of the host calls cannot be
// listed once for all hosts.
func programFilter() []bpf.Instruction {
	filter := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: kill}, // a 32-bit entry
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		bpf.RetConstant{Val: kill},
	}
	for _, nr := range []uint32{
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP, unix.SYS_PROCESS_MADVISE,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
		unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_SYSLOG, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_REBOOT,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN,
		unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_OPEN_BY_HANDLE_AT,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
		unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
		unix.SYS_PERSONALITY, unix.SYS_FANOTIFY_INIT, unix.SYS_VHANGUP,
	} {
		filter = append(filter, when(nr, bpf.RetConstant{Val: refuse})...)
	}
	return append(filter, bpf.RetConstant{Val: allow})
}

// x32 is the bit of that ABI's system calls; no number of another is as large.
const x32 = 0x40000000
