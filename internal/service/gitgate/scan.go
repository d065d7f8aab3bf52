//go:build linux

package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// object is one new object of a push.
type object struct {
	oid, kind, path string
}

// hit is a finding with its place.
type hit struct {
	object

	Finding
	place string // in words
}

// wholeBelow is up to what size an object is read at once, so that several are looked at together.
const wholeBelow = 1 << 20

// maxHits is when looking further tells nothing new.
const maxHits = 20

// survey looks at the objects of one push.
type survey struct {
	p    *push
	most int // how many findings are enough

	mu       sync.Mutex // guards what follows
	hits     []hit
	messages map[string]string // of commits and tags, by object
	pointers []string          // paths of LFS pointers
	bare     []string          // commits without the trailer
	names    map[string]bool   // paths that were looked at, which trees repeat from commit to commit
}

func newSurvey(p *push) *survey {
	return &survey{p: p, most: maxHits, messages: map[string]string{}, names: map[string]bool{}}
}

// scan looks at every new object, at the names of the refs, and at what is told in parts.
func (p *push) scan(ctx context.Context) error {
	began := time.Now()
	v := newSurvey(p)
	var names []string
	for _, u := range p.request.updates {
		names = append(names, u.ref)
	}
	if err := v.look("a ref's name", object{}, strings.NewReader(strings.Join(names, "\n"))); err != nil {
		return err
	}
	objects := p.news
	if len(objects) > 0 {
		p.answer.say("git-gate: looking at %d new objects", len(objects))
	}
	if err := v.all(ctx, objects); err != nil {
		return err
	}
	if err := v.joined(objects); err != nil {
		return err
	}
	p.looked = fmt.Sprintf("; %d objects looked at in %d ms", len(objects), (p.listing + time.Since(began)).Milliseconds())
	if len(v.hits) > 0 {
		return p.held(ctx, v.hits)
	}
	if len(v.pointers) > 0 {
		return &refusal{"it has Git LFS pointers", append([]string{noLFS}, limitLines(v.pointers)...)}
	}
	if len(v.bare) > 0 {
		return &refusal{"a commit lacks the trailer", append(limitLines(v.bare),
			"every commit has to end with the line "+p.s.config.Trailer,
			fmt.Sprintf("git commit --amend --no-edit --trailer %q adds it to the last commit, git rebase --exec with that to earlier ones; then push again", p.s.config.Trailer))}
	}
	return nil
}

// all reads the objects one after the other and looks at several together.
func (v *survey) all(ctx context.Context, objects []object) error {
	if len(objects) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var list strings.Builder
	for _, o := range objects {
		list.WriteString(o.oid + "\n")
	}
	read, write, err := os.Pipe() // git writes into it itself
	if err != nil {
		return fmt.Errorf("cannot read the objects of the push: %w", err)
	}
	defer read.Close()
	var programs errgroup.Group
	programs.Go(func() error {
		defer write.Close()
		return v.p.s.git.run(ctx, v.p.in(command{in: strings.NewReader(list.String()), out: write}), "cat-file", "--batch", "--buffer")
	})
	b := &batches{v: v, in: bufio.NewReaderSize(read, 256<<10)}
	b.workers.SetLimit(runtime.GOMAXPROCS(0) + 1)
	for _, o := range objects {
		if err = b.next(ctx, o); err != nil {
			break
		}
	}
	b.start()
	err = errors.Join(err, b.workers.Wait())
	if err != nil {
		cancel()
		_ = read.Close() // git stops writing
	}
	if gitErr := programs.Wait(); err == nil {
		err = gitErr
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough was found")

// batches reads what cat-file says and hands it on, small objects several at a time.
type batches struct {
	v       *survey
	in      *bufio.Reader
	workers errgroup.Group
	batch   []loaded
	size    int
}

// loaded is a small object with its content.
type loaded struct {
	object

	raw []byte
}

// batchSize is how many bytes of small objects are handed on at once.
const batchSize = 128 << 10

// start has the batch looked at.
func (b *batches) start() {
	batch := b.batch
	b.batch, b.size = nil, 0
	b.workers.Go(func() error {
		for _, o := range batch {
			if err := b.v.whole(o.object, o.raw); err != nil {
				return err
			}
		}
		return nil
	})
}

// next reads one object.
func (b *batches) next(ctx context.Context, o object) error {
	if b.v.enough() {
		return errEnough
	}
	head, err := b.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("cannot read the objects of the push: %w", err)
	}
	words := strings.Fields(head)
	if len(words) != 3 || words[0] != o.oid {
		return errors.New("cannot read the objects of the push: git answers out of order")
	}
	o.kind = words[1]
	size, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil || size < 0 || o.kind != "blob" && size > maxMeta {
		return errors.New("cannot read the objects of the push: an object's size is odd")
	}
	if size > wholeBelow {
		content := io.LimitReader(b.in, size)
		err = b.v.object(o, content)
		if _, rest := io.Copy(io.Discard, content); err == nil {
			err = rest
		}
	} else {
		raw := make([]byte, size)
		if _, err = io.ReadFull(b.in, raw); err == nil {
			b.batch, b.size = append(b.batch, loaded{o, raw}), b.size+len(raw)
		}
		if b.size >= batchSize {
			b.start()
		}
	}
	if err == nil {
		_, err = b.in.Discard(1)
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (v *survey) enough() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.hits) >= v.most
}

// object looks at one that is too large to be read at once beside others.
func (v *survey) object(o object, content io.Reader) error {
	if o.kind == "blob" {
		return v.blob(o, content)
	}
	raw, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	return v.whole(o, raw)
}

// whole looks at one object.
func (v *survey) whole(o object, raw []byte) error {
	switch o.kind {
	case "commit", "tag":
		_, message, _ := bytes.Cut(raw, []byte("\n\n"))
		v.message(o, strings.TrimSpace(string(message)))
		return v.look("a "+o.kind+"'s message or header", o, bytes.NewReader(raw))
	case "tree":
		names, err := treeNames(raw, o.path)
		if err != nil {
			return err
		}
		fresh := v.unseen(names)
		if len(fresh) == 0 {
			return nil
		}
		return v.look("a file's name", o, strings.NewReader(strings.Join(fresh, "\n")))
	case "blob":
		v.start(o, raw)
		return v.look("the file", o, bytes.NewReader(raw))
	}
	return errors.New("cannot look at an object of the kind " + shown(o.kind))
}

// message keeps what a commit or a tag says, and notes a commit that does not end as it has to.
func (v *survey) message(o object, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if text != "" {
		v.messages[o.oid] = text
	}
	if want := v.p.s.config.Trailer; want != "" && o.kind == "commit" && !hasTrailer(text, want) {
		v.bare = append(v.bare, "commit "+o.oid[:10])
	}
}

// hasTrailer reports whether the last paragraph of a message has the line.
func hasTrailer(message, want string) bool {
	message = strings.TrimRight(message, "\n")
	at := strings.LastIndex(message, "\n\n")
	if at < 0 {
		return false // a title alone has none
	}
	last := message[at+1:]
	token, value, _ := strings.Cut(want, ": ")
	for line := range strings.SplitSeq(last, "\n") {
		if t, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(t, token) && strings.TrimSpace(v) == strings.TrimSpace(value) {
			return true
		}
	}
	return false
}

// lfsPointer begins a file that stands for another one, which is stored elsewhere.
const lfsPointer = "version https://git-lfs.github.com/spec/"

func (v *survey) blob(o object, content io.Reader) error {
	start, err := io.ReadAll(io.LimitReader(content, maxMeta))
	if err != nil {
		return err
	}
	v.start(o, start)
	return v.look("the file", o, io.MultiReader(bytes.NewReader(start), content))
}

// start looks at how a file begins, for what only git makes something of.
func (v *survey) start(o object, text []byte) {
	if bytes.HasPrefix(text, []byte(lfsPointer)) {
		v.mu.Lock()
		v.pointers = append(v.pointers, shown(o.path))
		v.mu.Unlock()
	}
	// Any file may be a .gitmodules at another commit or path than the one that it is listed with.
	if hasPassword(text) {
		v.add(hit{object: o, place: "a submodule's URL", Finding: Finding{Rule: "password-in-url"}})
	}
}

// isModules reports whether a file has the head of a submodule's section, whose case does not count.
func isModules(raw []byte) bool {
	const section = "submodule"
	for {
		_, rest, ok := bytes.Cut(raw, []byte("["))
		if !ok {
			return false
		}
		if len(rest) >= len(section) && strings.EqualFold(string(rest[:len(section)]), section) {
			return true
		}
		raw = rest
	}
}

// hasPassword reports whether a file that can be a .gitmodules has a URL with a password in it.
func hasPassword(raw []byte) bool {
	if !isModules(raw) {
		return false
	}
	// git puts values together from several lines and out of quotes.
	text := strings.NewReplacer("\\\r\n", "", "\\\n", "", `"`, "").Replace(string(raw))
	for line := range strings.SplitSeq(text, "\n") {
		for ok := true; ok; {
			if _, line, ok = strings.Cut(line, "://"); ok {
				authority, _, _ := strings.Cut(line, "/")
				user, _, at := strings.Cut(authority, "@")
				if at && strings.Contains(user, ":") {
					return true
				}
			}
		}
	}
	return false
}

func (v *survey) look(place string, o object, content io.Reader) error {
	found, err := v.p.s.deps.Scanner.Scan(content)
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", place, err)
	}
	for _, f := range found {
		v.add(hit{object: o, Finding: f, place: place})
	}
	return nil
}

func (v *survey) add(h hit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hits = append(v.hits, h)
}

// unseen returns the paths that no tree of the push had before.
func (v *survey) unseen(paths []string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var fresh []string
	for _, path := range paths {
		if !v.names[path] {
			v.names[path] = true
			fresh = append(fresh, path)
		}
	}
	return fresh
}

// treeNames is what a tree calls its entries: a mode, a blank, a name, a zero byte, 20 bytes each.
func treeNames(raw []byte, path string) ([]string, error) {
	var names []string
	if path != "" {
		path += "/"
	}
	for len(raw) > 0 {
		head, rest, ok := bytes.Cut(raw, []byte{0})
		_, name, named := bytes.Cut(head, []byte(" "))
		if !ok || !named || len(rest) < 20 {
			return nil, errors.New("a tree is malformed")
		}
		names = append(names, path+string(name))
		raw = rest[20:]
	}
	return names, nil
}

// joined looks at the messages of the push one behind the other, in both orders, so that a value
// that is told in parts is seen.
func (v *survey) joined(objects []object) error {
	var forth, back []string
	for _, o := range objects {
		if m := v.messages[o.oid]; m != "" {
			forth = append(forth, m)
		}
	}
	if len(forth) < 2 || len(v.hits) > 0 {
		return nil
	}
	for i := len(forth) - 1; i >= 0; i-- {
		back = append(back, forth[i])
	}
	for _, parts := range [][]string{forth, back} {
		if err := v.look("several messages together", object{}, strings.NewReader(strings.Join(parts, ""))); err != nil {
			return err
		}
	}
	return nil
}

func limitLines(lines []string) []string {
	if len(lines) > maxHits {
		return append(lines[:maxHits], "…")
	}
	return lines
}
