package host

import (
	"os"
	"strings"
)

// Problem is what a machine lacks, and the exact remedy.
type Problem struct {
	What string
	Fix  string
}

// oldest is the first kernel with mount_setattr(2) and per-namespace process limits.
func oldest() Version { return Version{5, 14} }

// profile lets one program use namespaces where AppArmor keeps them from unprivileged ones.
const profile = `sudo tee /etc/apparmor.d/bot-bottle >/dev/null <<'EOF'
abi <abi/4.0>,
include <tunables/global>
profile bot-bottle PROGRAM flags=(unconfined) {
  userns,
}
EOF
sudo apparmor_parser -r /etc/apparmor.d/bot-bottle`

// program is where this program lies: a profile is for it, and not for whatever has its name.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return "/usr/local/bin/bot-bottle"
	}
	return path
}

// Namespaces tells why user namespaces cannot be used here, as far as the facts show it.
func (f Facts) Namespaces() (p Problem, found bool) {
	switch {
	case f.Kernel.Before(oldest()):
		return Problem{
			"the kernel is " + f.Release + ", older than " + oldest().String(),
			"upgrade the kernel, or use another backend",
		}, true
	case f.MaxUserNS < 0:
		return Problem{"the kernel has no user namespaces", "use a kernel with CONFIG_USER_NS=y, or another backend"}, true
	case f.MaxUserNS == 0:
		return Problem{
			"user.max_user_namespaces is 0",
			"sudo sysctl -w user.max_user_namespaces=15000",
		}, true
	case f.Root:
		return Problem{}, false
	case !f.UserNSClone:
		return Problem{
			"kernel.unprivileged_userns_clone is 0",
			"sudo sysctl -w kernel.unprivileged_userns_clone=1",
		}, true
	case f.AppArmorUserNS:
		return Problem{
			"AppArmor keeps user namespaces from ordinary users (kernel.apparmor_restrict_unprivileged_userns is 1)",
			"allow this program alone:\n" + strings.Replace(profile, "PROGRAM", program(), 1) + "\nor, for every program: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		}, true
	}
	return Problem{}, false
}
