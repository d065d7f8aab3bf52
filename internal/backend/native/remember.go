package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/host"
)

// trialFile holds what the last trial that succeeded was about.
const trialFile = "native-works"

// Remembered implements backend.Rememberer. The facts are gathered anew; only the trial, which
// costs as much as a bottle's own namespaces, is spared where it succeeded for this program, this
// user and these facts since the machine booted. What has changed unseen is refused by Prepare,
// which tells the same reasons.
func (d *Driver) Remembered(ctx context.Context) (backend.Capabilities, error) {
	if d.cache == "" {
		return d.Probe(ctx)
	}
	facts := host.Gather()
	about, err := d.subject(facts)
	if err != nil {
		return d.Probe(ctx)
	}
	file := filepath.Join(d.cache, trialFile)
	if known, err := os.ReadFile(file); err == nil && string(known) == about {
		return judgeHost(facts, "", features(ownControllers())), nil
	}
	caps, err := d.Probe(ctx)
	if err == nil && caps.Works {
		remember(file, about)
	}
	return caps, err
}

// subject names everything that a trial's outcome depends on and that can be read.
func (d *Driver) subject(facts host.Facts) (string, error) {
	me, err := identify(os.Getpid())
	if err != nil {
		return "", err
	}
	program, err := os.Stat(d.self[0])
	if err != nil {
		return "", err
	}
	all := fmt.Sprintln(me.Boot, os.Geteuid(), os.Getegid(), program.Size(), program.ModTime().UnixNano(), facts)
	sum := sha256.Sum256([]byte(all))
	return hex.EncodeToString(sum[:]) + "\n", nil
}

// remember is best effort: without it the next start tries again.
func remember(file, about string) {
	if os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+trialFile+"-*")
	if err != nil {
		return
	}
	_, werr := f.WriteString(about)
	if cerr := f.Close(); werr != nil || cerr != nil || os.Rename(f.Name(), file) != nil {
		_ = os.Remove(f.Name())
	}
}
