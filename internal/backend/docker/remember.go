package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
)

// verdictFile holds the last verdict on a runtime, and what it was about.
const verdictFile = "docker-runsc"

// kept is the file's content.
type kept struct {
	About string `json:"about"`
	verdict
}

// Remembered implements backend.Rememberer. The engine is asked anew; only the trial of a runsc,
// which costs a container, is spared where nothing that it depends on has visibly changed. A start
// whose self-check does not hold is refused all the same.
func (d *Driver) Remembered(ctx context.Context) (backend.Capabilities, error) {
	return d.probe(ctx, d.remembered)
}

// remembered is try, unless there is a verdict already.
func (d *Driver) remembered(ctx context.Context, e *engine.Client, about json.RawMessage) (verdict, error) {
	subject, file := d.subject(e, about), filepath.Join(d.Cache, verdictFile)
	if d.Cache != "" {
		var k kept
		if raw, err := os.ReadFile(file); err == nil && json.Unmarshal(raw, &k) == nil && k.About == subject {
			return k.verdict, nil
		}
	}
	d.Progress("trying whether the engine's runsc can hold a bottle")
	return d.tryAndKeep(ctx, e, about)
}

// tryAndKeep is try, whose verdict the next start finds.
func (d *Driver) tryAndKeep(ctx context.Context, e *engine.Client, about json.RawMessage) (verdict, error) {
	v, err := d.try(ctx, e, about)
	if err == nil && d.Cache != "" {
		keep(filepath.Join(d.Cache, verdictFile), kept{d.subject(e, about), v})
	}
	return v, err
}

// subject names what a verdict depends on and can be read from here.
func (d *Driver) subject(e *engine.Client, about json.RawMessage) string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	sum := sha256.New()
	fmt.Fprintln(sum, e.Socket(), string(about), unix.ByteSliceToString(name.Release[:]))
	stamp := func(path string) {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		}
	}
	if own, err := d.Program(); err == nil {
		stamp(own)
	}
	var registered struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(about, &registered) == nil && filepath.IsAbs(registered.Path) {
		stamp(registered.Path) // where the engine runs on this machine
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// keep is best effort: without it the next start tries again.
func keep(file string, k kept) {
	raw, err := json.Marshal(k)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+verdictFile+"-*")
	if err != nil {
		return
	}
	_, werr := f.Write(raw)
	if cerr := f.Close(); werr != nil || cerr != nil || os.Rename(f.Name(), file) != nil {
		_ = os.Remove(f.Name())
	}
}
