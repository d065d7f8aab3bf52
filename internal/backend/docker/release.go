package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// oldest is the first day of the releases that are tried at all. Those before start no container
// under an engine of today, and each attempt leaves two processes of theirs behind for good.
const oldest = "20230101"

// releaseLimit bounds how long a runtime may take to tell its release.
const releaseLimit = 5 * time.Second

// tooOld says why a registered runsc need not be tried: its program, where the engine runs on this
// machine, tells a release that is known to be too old. Of one that tells none it says nothing.
func tooOld(ctx context.Context, registered json.RawMessage) string {
	var r struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(registered, &r) != nil || !filepath.IsAbs(r.Path) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	said, err := exec.CommandContext(ctx, r.Path, "--version").Output()
	if err != nil {
		return ""
	}
	return releaseTooOld(string(said))
}

// releaseTooOld reads what `runsc --version` prints, such as "runsc version release-20250505.0".
func releaseTooOld(said string) string {
	day := regexp.MustCompile(`^runsc version \D*(?:\d\.\d\D)?(20\d{6})\b`).FindStringSubmatch(said)
	if len(day) < 2 || day[1] >= oldest {
		return ""
	}
	return fmt.Sprintf("its release %s is too old", day[1])
}
