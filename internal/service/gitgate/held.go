//go:build linux

package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
)

// questionTime is how long a push is held for an answer.
const questionTime = 300 * time.Second

// located is a finding as the agent and the operator read it. It holds no value.
type located struct {
	Commit string   `json:"commit,omitempty"`
	File   string   `json:"file,omitempty"`
	Line   int      `json:"line,omitempty"`
	Place  string   `json:"place"`
	Rule   string   `json:"rule"`
	Steps  []string `json:"steps,omitempty"`
	// Inline says that the repository marks it as harmless, in a way that gitleaks would accept.
	Inline      bool   `json:"inline_allow,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

func (l located) String() string {
	var parts []string
	if l.Commit != "" {
		parts = append(parts, "commit "+l.Commit[:min(10, len(l.Commit))])
	}
	if l.File != "" {
		parts = append(parts, "file "+shown(l.File))
	}
	if l.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", l.Line))
	}
	if l.File == "" || l.Place != "the file" {
		parts = append(parts, "in "+l.Place)
	}
	parts = append(parts, "rule "+l.Rule)
	if len(l.Steps) > 0 {
		parts = append(parts, "after decoding "+strings.Join(l.Steps, ", "))
	}
	if l.Inline {
		parts = append(parts, "(marked as harmless, which does not pass by itself)")
	}
	return strings.Join(parts, ", ")
}

// held decides about a push with findings: what its upstream has already in the same file does not
// count; a secret of the bottle itself is refused; what the agent has marked as harmless, all of it,
// is the operator's to decide, where there is one.
func (p *push) held(ctx context.Context, hits []hit) error {
	hits, err := p.unknownThere(ctx, hits)
	if err != nil || len(hits) == 0 {
		return err
	}
	own := slices.ContainsFunc(hits, func(h hit) bool { return h.Known })
	marked := len(hits) <= maxHits // of more than these nobody has seen them all
	var places []located
	ignored, err := p.ignored(ctx)
	if err != nil {
		return err
	}
	for _, h := range hits[:min(len(hits), maxHits)] {
		l, err := p.locate(ctx, h)
		if err != nil {
			return err
		}
		l.Inline = l.Inline || slices.Contains(ignored, fmt.Sprintf("%s:%s:%d", l.File, l.Rule, l.Line))
		marked = marked && l.Inline
		if !slices.ContainsFunc(places, func(o located) bool { return o.String() == l.String() }) {
			places = append(places, l)
		}
	}
	reason := ""
	if p.s.deps.Asker != nil && !own && marked {
		allowed, why := p.ask(ctx, places)
		if allowed {
			return nil
		}
		reason = why
	}
	var lines []string
	for _, l := range places {
		lines = append(lines, l.String())
	}
	if reason != "" {
		lines = append(lines, "the operator was asked: "+reason)
	}
	lines = append(lines, "take it out of every commit that has it (git commit --amend, git rebase -i), then push again")
	switch {
	case own || strings.HasPrefix(reason, string(ask.Rejected)):
	case reason != "":
		lines = append(lines, `if it is no secret, call the tool gitleaks-allow of the MCP server "supervise" with the fingerprint `+places[0].Fingerprint+` and say why; after the approval, push again`)
	case p.s.deps.Asker != nil:
		lines = append(lines, "if it is no secret, end its line with a comment gitleaks:allow and push again: the operator is asked")
	default:
		lines = append(lines, "if it is no secret, tell the operator the file and the rule")
	}
	return &refusal{"it holds what looks like a secret", lines}
}

// ignored reads the .gitleaksignore of what is pushed: lines [COMMIT:]FILE:RULE:LINE, here without
// the commit.
func (p *push) ignored(ctx context.Context) ([]string, error) {
	var out []string
	for _, u := range p.request.updates {
		if u.deletes() {
			continue
		}
		err := p.contents(ctx, u.new+":.gitleaksignore", func(content io.Reader) error {
			text, err := io.ReadAll(io.LimitReader(content, maxMeta))
			for line := range strings.SplitSeq(string(text), "\n") {
				line = strings.TrimSpace(line)
				if commit, rest, ok := strings.Cut(line, ":"); ok && isOID(commit) {
					line = rest
				}
				out = append(out, line)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ask puts the findings to the operator.
func (p *push) ask(ctx context.Context, places []located) (allowed bool, why string) {
	candidate, err := json.Marshal(places)
	if err != nil {
		return false, "the question could not be written"
	}
	var refs []string
	for _, u := range p.request.updates {
		refs = append(refs, shown(u.ref)+" → "+u.new[:10])
	}
	sum := sha256.Sum256([]byte(p.repo.Name + "\n" + strings.Join(refs, "\n")))
	q := ask.Question{
		Kind: ask.Push, Key: hex.EncodeToString(sum[:8]), Title: "push to " + p.repo.Name + " with what looks like a secret", Candidate: candidate,
		Facts: []ask.Fact{{Name: "repository", Value: p.repo.URL}, {Name: "refs", Value: strings.Join(refs, ", ")}},
	}
	for _, l := range places {
		q.Facts = append(q.Facts, ask.Fact{Name: "finding", Value: l.String()})
	}
	p.answer.say("git-gate: held for the operator, up to %d s", int(questionTime.Seconds()))
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	a, err := p.s.deps.Asker.Ask(ctx, q)
	switch {
	case err != nil:
		return false, "no answer came"
	case a.Verdict != ask.Approved:
		return false, string(a.Verdict) + " " + shown(a.Reason)
	case !bytes.Equal(a.Candidate, candidate):
		return false, "the approval was for something else"
	}
	return true, ""
}

// unknownThere leaves out what stands in the same file on the upstream already: the push did not
// bring it.
func (p *push) unknownThere(ctx context.Context, hits []hit) ([]hit, error) {
	paths := map[string]map[string]bool{}
	for _, h := range hits {
		if h.kind == "blob" && h.path != "" && !h.Known && h.Fingerprint != "" && !strings.ContainsAny(h.path, "\n\"") {
			paths[h.path] = map[string]bool{}
		}
	}
	if len(paths) == 0 {
		return hits, nil
	}
	edges, err := p.edges(ctx)
	if err != nil {
		return nil, err
	}
	for path, known := range paths {
		for _, edge := range edges {
			err := p.contents(ctx, edge+":"+path, func(content io.Reader) error {
				found, err := p.s.deps.Scanner.Scan(content)
				for _, f := range found {
					known[f.Fingerprint] = true
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(hits, func(h hit) bool { return h.kind == "blob" && !h.Known && paths[h.path][h.Fingerprint] }), nil
}

// maxEdges is how many commits of the upstream are looked at for what was there before.
const maxEdges = 8

// edges are the commits of the upstream that the push builds on.
func (p *push) edges(ctx context.Context) ([]string, error) {
	var edges []string
	err := p.s.git.lines(ctx, p.in(command{in: p.tips()}), func(line string) error {
		if oid, ok := strings.CutPrefix(line, "-"); ok && len(edges) < maxEdges {
			edges = append(edges, oid)
		}
		return nil
	}, "rev-list", "--boundary", "--stdin", "--not", "--all")
	return edges, err
}

// contents hands over a blob by name; one that is not there is not handed over.
func (p *push) contents(ctx context.Context, name string, do func(io.Reader) error) error {
	read, write := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = write.CloseWithError(p.s.git.run(ctx, p.in(command{out: write}), "cat-file", "blob", name))
	}()
	in := bufio.NewReader(read)
	var err error
	if _, missing := in.Peek(1); missing == nil {
		err = do(in)
	}
	_ = read.Close()
	<-done
	return err
}

// locate finds the commit that brought an object, and the line.
func (p *push) locate(ctx context.Context, h hit) (located, error) {
	l := located{Place: h.place, Rule: h.Rule, Steps: h.Steps, Fingerprint: h.Fingerprint}
	switch h.kind {
	case "commit", "tag":
		l.Commit = h.oid
		return l, nil
	case "blob", "tree":
	default:
		return l, nil
	}
	var commit string
	err := p.s.git.lines(ctx, p.in(command{in: p.tips()}), func(line string) error {
		if isOID(line) {
			commit = line
		}
		return nil
	}, "log", "--format=%H", "-m", "--find-object="+h.oid, "--stdin", "--not", "--all")
	if ctx.Err() != nil {
		return l, err
	}
	l.Commit = commit
	if h.kind == "tree" {
		return l, nil // its name may be the secret
	}
	if clean, err := p.s.deps.Scanner.Scan(strings.NewReader(h.path)); err == nil && len(clean) == 0 {
		l.File = h.path
	}
	errFound := errors.New("the line was found")
	err = p.contents(ctx, h.oid, func(content io.Reader) error {
		var text []byte
		l.Line, text = lineAt(content, h.Offset)
		l.Inline = bytes.Contains(text, []byte("gitleaks:allow"))
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return l, err
	}
	return l, nil
}

// lineAt counts the lines up to an offset, and returns what stands around it.
func lineAt(content io.Reader, offset int64) (line int, text []byte) {
	in := bufio.NewReaderSize(content, 64<<10)
	line = 1
	for at := int64(0); ; {
		part, err := in.ReadSlice('\n')
		at += int64(len(part))
		if at > offset || err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return line, part
		}
		if err == nil {
			line++
		}
	}
}
