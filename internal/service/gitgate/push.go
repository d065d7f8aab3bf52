//go:build linux

package gitgate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// push is one push on its way: its objects lie in a directory of their own, beside the mirror's,
// until it has ended. Then they are gone, whatever the end was: what the upstream took comes back
// with the next fetch.
type push struct {
	s       *Server
	repo    *repo
	request pushRequest
	answer  *answer
	objects string
	news    []object // what the upstream does not have, commits before what they bring
	listing time.Duration
	looked  string // what was looked at, and how long that took
	// rejected says why the upstream did not take a ref.
	rejected map[string]string
}

const quarantinePrefix = "push-"

func (p *push) close() {
	if p.objects != "" {
		_ = os.RemoveAll(p.objects)
	}
}

// in is a run of git that sees the mirror and the quarantine.
func (p *push) in(c command) command {
	c.dir = p.repo.mirror.repository()
	c.env = append(c.env, "GIT_OBJECT_DIRECTORY="+p.objects, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+filepath.Join(c.dir, "objects"),
		"GIT_QUARANTINE_PATH="+p.objects)
	return c
}

// begin checks the refs, then takes the pack in and checks its form.
func (p *push) begin(ctx context.Context, body io.Reader) error {
	var wrong []string
	seen := map[string]bool{}
	packed := false
	for _, u := range p.request.updates {
		if why := p.repo.rules.refused(u); why != "" {
			wrong = append(wrong, shown(u.ref)+" "+why)
		}
		if seen[u.ref] {
			wrong = append(wrong, shown(u.ref)+" is named twice")
		}
		seen[u.ref] = true
		packed = packed || !u.deletes()
	}
	if len(wrong) > 0 {
		return &refusal{"the ref is not allowed", wrong}
	}
	if err := p.repo.mirror.ensure(ctx); err != nil {
		return &refusal{"the upstream does not answer", []string{words(err)}}
	}
	dir, err := os.MkdirTemp(p.s.config.Dir, quarantinePrefix)
	if err != nil {
		return fmt.Errorf("cannot take the push in: %w", err)
	}
	p.objects = dir
	for _, d := range []string{"pack", "info"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("cannot take the push in: %w", err)
		}
	}
	if !packed {
		return nil
	}
	return p.index(ctx, body)
}

// index lets git check the pack as strictly as it can: form, checksums, fsck, and that every
// object that is linked to is there.
func (p *push) index(ctx context.Context, body io.Reader) error {
	limit := p.repo.rules.pack
	in := bufio.NewReader(body)
	head, err := in.Peek(12)
	if err != nil || string(head[:4]) != "PACK" {
		return &refusal{"its pack cannot be read", []string{"the request ended before a pack began"}}
	}
	c := p.in(command{in: in, out: io.Discard, memory: indexMemory, cpu: indexSeconds})
	err = p.s.git.run(ctx, c, "-c", "pack.threads=1", "-c", "fsck.badDateOverflow=error", "index-pack", "--stdin", "--fix-thin", "--strict",
		"--max-input-size="+strconv.FormatInt(limit, 10))
	switch {
	case err == nil:
		return p.measure(ctx)
	case strings.Contains(err.Error(), "exceeds maximum allowed size"):
		return &refusal{"it is too large", []string{fmt.Sprintf("a push to %s may have %d bytes", p.repo.Name, limit),
			"push it in parts, or ask the operator for a larger git-gate.repos." + p.repo.Name + ".push.max_bytes"}}
	case ctx.Err() != nil:
		return err
	}
	return &refusal{"its objects are not sound", []string{words(err)}}
}

// measure refuses what unpacks to far more than it looks like, before anything reads it whole.
func (p *push) measure(ctx context.Context) error {
	var total, count int64
	over := func(what string) error {
		return &refusal{"it is too large", []string{what, "push less at once"}}
	}
	c := p.in(command{})
	c.env = append(c.env, "GIT_ALTERNATE_OBJECT_DIRECTORIES=")
	err := p.s.git.lines(ctx, c, func(line string) error {
		kind, text, _ := strings.Cut(line, " ")
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("the size of an object cannot be read")
		}
		total, count = total+size, count+1
		switch {
		case count > maxObjects:
			return over(fmt.Sprintf("it has more than %d objects", maxObjects))
		case kind == "blob" && size > maxBlob, kind != "blob" && size > maxMeta:
			return over(fmt.Sprintf("a %s in it unpacks to %d bytes", kind, size))
		case total > p.repo.rules.pack*unpackedRatio:
			return over(fmt.Sprintf("it unpacks to more than %d bytes", p.repo.rules.pack*unpackedRatio))
		}
		return nil
	}, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectsize)")
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return err
}

// judge looks at what is new in the push and forwards it.
func (p *push) judge(ctx context.Context) error {
	if err := p.connected(ctx); err != nil {
		return err
	}
	if err := p.movement(ctx); err != nil {
		return err
	}
	if err := p.scan(ctx); err != nil {
		return err
	}
	return p.forward(ctx)
}

// tips are the new objects of a push, for --stdin; --not --all behind it leaves out what the
// upstream has.
func (p *push) tips() io.Reader {
	var b strings.Builder
	for _, u := range p.request.updates {
		if !u.deletes() {
			b.WriteString(u.new + "\n")
		}
	}
	return strings.NewReader(b.String())
}

// connected lists what is new, and makes sure that the whole history is here: an object may be
// linked to only where the upstream or this push has it.
func (p *push) connected(ctx context.Context) error {
	if err := p.list(ctx); err != nil {
		var r *refusal
		if ctx.Err() != nil || errors.As(err, &r) {
			return err
		}
		return &refusal{"its history is not whole", []string{words(err), "fetch first; a shallow clone may need git fetch --unshallow"}}
	}
	for _, u := range p.request.updates {
		if u.deletes() || !strings.HasPrefix(u.ref, "refs/heads/") {
			continue
		}
		kind, err := p.s.git.output(ctx, p.in(command{}), "cat-file", "-t", u.new)
		if err != nil || strings.TrimSpace(kind) != "commit" {
			return &refusal{"the ref is not allowed", []string{shown(u.ref) + " would not be a commit"}}
		}
	}
	return nil
}

// list asks git for the objects that the upstream does not have.
func (p *push) list(ctx context.Context) error {
	began := time.Now()
	defer func() { p.listing = time.Since(began) }()
	return p.s.git.lines(ctx, p.in(command{in: p.tips()}), func(line string) error {
		oid, path, _ := strings.Cut(line, " ")
		p.news = append(p.news, object{oid: oid, path: path})
		if len(p.news) > maxObjects {
			return &refusal{"it is too large", []string{fmt.Sprintf("it has more than %d objects", maxObjects)}}
		}
		return nil
	}, "rev-list", "--objects", "--in-commit-order", "--stdin", "--not", "--all")
}

// movement refuses updates that start from what the upstream no longer has, and forced ones.
func (p *push) movement(ctx context.Context) error {
	refs, err := p.repo.mirror.refs(ctx)
	if err != nil {
		return err
	}
	for _, u := range p.request.updates {
		now := refs[u.ref]
		if now == "" {
			now = zero
		}
		if mirroredRef(u.ref) && now != u.old {
			return &refusal{"the upstream has moved", []string{shown(u.ref) + " is another there by now", "git pull --rebase, then push again"}}
		}
		if u.creates() || u.deletes() || p.repo.rules.force {
			continue
		}
		moved := strings.HasPrefix(u.ref, "refs/tags/")
		if !moved {
			err := p.s.git.run(ctx, p.in(command{}), "merge-base", "--is-ancestor", u.old, u.new)
			if ctx.Err() != nil {
				return err
			}
			moved = err != nil
		}
		if moved {
			return &refusal{"it would be a forced push", []string{
				shown(u.ref) + " would lose what is there now, and force is not allowed here",
				"push to another branch, or ask the operator for git-gate.repos." + p.repo.Name + ".push.force",
			}}
		}
	}
	return nil
}

func mirroredRef(ref string) bool {
	return strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/")
}

// forward pushes to the upstream what was looked at, as exactly the objects that were looked at
// and from exactly the state that they were compared with.
func (p *push) forward(ctx context.Context) error {
	args := []string{"push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--no-recurse-submodules"}
	if p.request.atomic {
		args = append(args, "--atomic")
	}
	var specs []string
	for _, u := range p.request.updates {
		old, spec := u.old, u.new+":"+u.ref
		if u.creates() {
			old = ""
		}
		if u.deletes() {
			spec = ":" + u.ref
		}
		args = append(args, "--force-with-lease="+u.ref+":"+old)
		specs = append(specs, spec)
	}
	said := &relayed{answer: p.answer}
	became := map[string]string{}
	err := p.repo.mirror.upstream.use(ctx, receivePack, func(link link) error {
		c := p.in(command{env: link.env, files: link.files, online: link.online, err: said})
		return p.s.git.lines(ctx, c, func(line string) error {
			report(line, became)
			return nil
		}, append(append(args, link.url), specs...)...)
	})
	said.end()
	p.rejected = map[string]string{}
	for _, u := range p.request.updates {
		why, told := became[u.ref]
		switch {
		case !told && err != nil:
			return &refusal{"the upstream did not take it", []string{words(err)}}
		case !told:
			return &refusal{"the upstream did not take it", []string{"it did not say what became of " + shown(u.ref)}}
		case why != "":
			p.rejected[u.ref] = why
		}
	}
	p.repo.mirror.stale()
	return nil
}

// stale makes the next request of a fetch ask the upstream.
func (m *mirror) stale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = m.fresh.Add(-freshFor)
}

// report reads a line of git push --porcelain: a flag, from:to, and a summary, with tabs between.
func report(line string, became map[string]string) {
	parts := strings.SplitN(line, "\t", 3)
	if len(parts) != 3 || len(parts[0]) != 1 {
		return
	}
	_, ref, ok := strings.Cut(parts[1], ":")
	if !ok {
		return
	}
	if parts[0] != "!" {
		became[ref] = ""
		return
	}
	why := parts[2]
	if _, inner, ok := strings.Cut(why, "("); ok {
		why = strings.TrimSuffix(inner, ")")
	}
	became[ref] = shown(why)
}

// relayed passes on what the upstream says during a push: git puts "remote: " before it.
type relayed struct {
	answer *answer
	rest   string
	lines  int
}

const maxRelayed = 200 // lines

func (r *relayed) Write(p []byte) (int, error) {
	r.rest += string(p)
	for {
		i := strings.IndexAny(r.rest, "\r\n")
		if i < 0 {
			if len(r.rest) > maxPkt {
				r.rest = ""
			}
			return len(p), nil
		}
		r.line(r.rest[:i])
		r.rest = r.rest[i+1:]
	}
}

func (r *relayed) end() { r.line(r.rest) }

func (r *relayed) line(text string) {
	text, ok := strings.CutPrefix(text, "remote: ")
	if !ok || r.lines >= maxRelayed {
		return
	}
	r.lines++
	r.answer.say("%s", words(errors.New(strings.TrimRight(text, " \x1b[K"))))
}
