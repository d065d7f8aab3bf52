//go:build linux

package gate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
)

// oldestGit is the first release with all that the gate relies on.
const oldestGit = 2*1000 + 32

// maxFile is how far a file may grow: a pack of a mirror.
const maxFile = 64 << 30

// findGit looks where the images of systems have it: a gate has no environment.
func findGit() (string, error) {
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		path := filepath.Join(dir, "git")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fault.WithHint(fault.New(fault.NotFound, "there is no git in the image of the git gate"), "name one that has it in BOT_BOTTLE_GIT_IMAGE")
}

// checkGit makes sure that git is there and new enough, and finds out whether it can be isolated.
func checkGit(ctx context.Context, git string) (isolated bool, err error) {
	cmd := exec.CommandContext(ctx, git, "version")
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return false, fault.New(fault.Unavailable, "cannot run %s: %w", git, err)
	}
	if version(string(out)) < oldestGit {
		return false, fault.New(fault.Unsupported, "cannot use %s: it is older than 2.32", strings.TrimSpace(string(out)))
	}
	return CanIsolate(ctx, git), nil
}

// version reads "git version 2.39.5" as 2039.
func version(text string) int {
	words := strings.Fields(text)
	if len(words) < 3 {
		return 0
	}
	parts := strings.Split(words[2], ".")
	if len(parts) < 2 {
		return 0
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return 0
	}
	return major*1000 + minor
}

// raise gives up, for this process and every git that it starts, all files but its own, the
// mirrors and what programs need of the system, and every system call that reaches other
// processes or the kernel's inside.
func raise(c gitgate.Config) ([]string, error) {
	o := fence.Options{MaxFileSize: maxFile, WriteDirs: []string{c.Dir}, WriteFiles: []string{os.DevNull}}
	for _, r := range c.Repos {
		o.WriteDirs = append(o.WriteDirs, r.Mirror)
	}
	for _, dir := range o.WriteDirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make %s: %w", dir, err)
		}
	}
	o.ReadFiles, o.ReadDirs = fence.Network()
	o.ReadFiles = append(o.ReadFiles, "/etc/ld.so.cache", "/etc/passwd", "/etc/localtime", "/dev/urandom", "/dev/zero")
	o.ProgramDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", filepath.Dir(c.Git)}
	return fence.RaiseWithPrograms(o)
}
