//go:build linux

package gitgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mirror is a bare repository with what the upstream has, and nothing else. Bottles of one user
// with the same URL, key and host key share it.
type mirror struct {
	name     string
	dir      string // with the lock and the repository
	git      *programs
	upstream upstream
	turn     chan struct{} // one update at a time in this process

	mu    sync.Mutex // guards fresh
	fresh time.Time  // when the last update that succeeded began
}

// mirrored are the refs that are kept, in the form of a refspec.
func mirrored() []string {
	return []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
}

// freshFor is how long the requests that follow a discovery may rely on its update.
const freshFor = 2 * time.Minute

func (m *mirror) repository() string { return filepath.Join(m.dir, "repo.git") }

// settings is the whole configuration file of the mirror; everything else is fixed for each run.
const settings = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n"

// prepare makes the repository by hand, so that no template of the host gets into it.
func (m *mirror) prepare() error {
	dir := m.repository()
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("cannot make the mirror: %w", err)
		}
	}
	if err := replace(filepath.Join(dir, "config"), settings); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err == nil {
		return nil
	}
	return replace(filepath.Join(dir, "HEAD"), "ref: refs/heads/main\n")
}

func replace(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err == nil {
		_, err = f.WriteString(content)
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// lock takes the mirror for this process; others of the same user may have it.
func (m *mirror) lock(ctx context.Context) (release func(), err error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := os.OpenFile(filepath.Join(m.dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		<-m.turn
		return nil, fmt.Errorf("cannot lock the mirror: %w", err)
	}
	release = func() { _ = f.Close(); <-m.turn }
	tick := time.NewTicker(50 * time.Millisecond) // flock(2) cannot be given up while it waits
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return release, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			release()
			return nil, fmt.Errorf("cannot lock the mirror: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
}

// update makes the mirror what the upstream is now. A request that came while one was waiting for
// its turn is served by the update that began after it.
func (m *mirror) update(ctx context.Context) error {
	asked := time.Now()
	release, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if m.since(asked) {
		return nil
	}
	began := time.Now()
	theirs, head, err := m.theirs(ctx)
	if err != nil {
		return err
	}
	ours, err := m.refs(ctx)
	if err != nil {
		return err
	}
	if !same(ours, theirs) {
		if err := m.fetch(ctx); err != nil {
			return err
		}
	}
	if err := m.point(head); err != nil {
		return err
	}
	m.mu.Lock()
	m.fresh = began
	m.mu.Unlock()
	return nil
}

// since reports whether an update began after t and succeeded.
func (m *mirror) since(t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fresh.After(t)
}

// ensure is update, unless the last one is recent.
func (m *mirror) ensure(ctx context.Context) error {
	if m.since(time.Now().Add(-freshFor)) {
		return nil
	}
	return m.update(ctx)
}

// theirs lists the upstream's refs, and where its HEAD points.
func (m *mirror) theirs(ctx context.Context) (refs map[string]string, head string, err error) {
	refs = map[string]string{}
	err = m.upstream.use(ctx, uploadPack, func(link link) error {
		c := command{dir: m.repository(), env: link.env, files: link.files, online: link.online}
		return m.git.lines(ctx, c, func(line string) error {
			oid, ref, ok := strings.Cut(line, "\t")
			switch target, symbolic := strings.CutPrefix(oid, "ref: "); {
			case !ok:
			case symbolic && ref == "HEAD":
				head = target
			case strings.HasPrefix(ref, "refs/"):
				refs[ref] = oid
			}
			return nil
		}, "ls-remote", "--symref", link.url, "HEAD", "refs/heads/*", "refs/tags/*")
	})
	for ref := range refs {
		if strings.HasSuffix(ref, "^{}") {
			delete(refs, ref)
		}
	}
	return refs, head, err
}

// refs lists what the mirror has.
func (m *mirror) refs(ctx context.Context) (map[string]string, error) {
	refs := map[string]string{}
	err := m.git.lines(ctx, command{dir: m.repository()}, func(line string) error {
		if oid, ref, ok := strings.Cut(line, " "); ok {
			refs[ref] = oid
		}
		return nil
	}, "for-each-ref", "--format=%(objectname) %(refname)")
	return refs, err
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for ref, oid := range a {
		if b[ref] != oid {
			return false
		}
	}
	return true
}

func (m *mirror) fetch(ctx context.Context) error {
	err := m.upstream.use(ctx, uploadPack, func(link link) error {
		args := append([]string{"fetch", "--prune", "--no-tags", "--no-write-fetch-head", "--quiet", "--atomic", link.url}, mirrored()...)
		return m.git.run(ctx, command{dir: m.repository(), env: link.env, files: link.files, online: link.online, out: io.Discard}, args...)
	})
	if err != nil {
		return err
	}
	packs, err := filepath.Glob(filepath.Join(m.repository(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) < manyPacks {
		return err
	}
	return m.git.run(ctx, command{dir: m.repository(), out: io.Discard}, "repack", "-d", "-q", "--geometric=2")
}

// manyPacks is when the packs of a mirror are joined.
const manyPacks = 50

// point sets HEAD, which a clone checks out.
func (m *mirror) point(head string) error {
	if !strings.HasPrefix(head, "refs/heads/") || oddRef(head) != "" {
		return nil
	}
	path := filepath.Join(m.repository(), "HEAD")
	now, err := os.ReadFile(path)
	if err == nil && string(now) == "ref: "+head+"\n" {
		return nil
	}
	return replace(path, "ref: "+head+"\n")
}
