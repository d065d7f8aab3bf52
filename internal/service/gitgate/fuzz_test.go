//go:build linux

package gitgate

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// FuzzPushRequest holds that no request makes the parser panic or hand on what is malformed, and
// that it reads no further than its commands.
func FuzzPushRequest(f *testing.F) {
	oid := strings.Repeat("a", 40)
	first := pkt(zero + " " + oid + " refs/heads/x\x00 report-status side-band-64k atomic\n")
	for _, seed := range []string{
		"", "0000", first + "0000PACK", first + pkt(oid+" "+zero+" refs/heads/y\n") + "0000", pkt("shallow "+oid+"\n") + first + "0000",
		"0004", "0003", "ffff", "fffg" + first, first[:20], pkt("push-cert\x00x\n"), "000" + first,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := bytes.NewReader(raw)
		q, err := readPush(in)
		if err != nil {
			return
		}
		if len(q.updates) > maxCommands {
			t.Errorf("%d commands", len(q.updates))
		}
		for _, u := range q.updates {
			if !isOID(u.old) || !isOID(u.new) || u.creates() && u.deletes() || strings.ContainsAny(u.ref, "\n\x00") && oddRef(u.ref) == "" {
				t.Errorf("%q", u)
			}
		}
		if read := raw[:len(raw)-in.Len()]; len(q.updates) > 0 && !bytes.HasSuffix(read, []byte(flushPkt)) {
			t.Errorf("it read on behind its commands: %q", read)
		}
	})
}

// FuzzSignable holds that what is signed has nobody's name in it but one.
func FuzzSignable(f *testing.F) {
	const who = "Bot <bot@example.org>"
	tree := strings.Repeat("a", 40)
	f.Add([]byte("tree " + tree + "\nparent " + tree + "\nauthor " + who + " 1 +0000\ncommitter " + who + " 1 +0000\nencoding x\nmergetag object " + tree + "\n type commit\n \n x\n\nhello\n"))
	f.Add([]byte("object " + tree + "\ntype commit\ntag v1\ntagger " + who + " 1 -0130\n\nhello\n"))
	f.Add([]byte("tree " + tree + "\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		kind, err := signable(raw, who)
		if err != nil {
			return
		}
		head, _, _ := strings.Cut(string(raw), "\n\n")
		people := map[string]int{"commit": 2, "tag": 1}[kind]
		for line := range strings.SplitSeq(head, "\n") {
			role, rest, _ := strings.Cut(line, " ")
			switch role {
			case "author", "committer", "tagger":
				if people--; !strings.HasPrefix(rest, who+" ") {
					t.Errorf("signed for %q", rest)
				}
			case "tree", "parent", "object", "type", "tag", "encoding", "mergetag", "":
			default:
				t.Errorf("signed with the line %q", line)
			}
		}
		if people != 0 || kind == "" {
			t.Errorf("a %q with %d people missing", kind, people)
		}
	})
}

// FuzzTreeNames holds that a tree is read whole or not at all.
func FuzzTreeNames(f *testing.F) {
	f.Add([]byte("100644 a\x00"+strings.Repeat("x", 20)), "dir")
	f.Add([]byte("40000 \x00short"), "")
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		names, err := treeNames(raw, path)
		if err == nil && len(names)*22 > len(raw) {
			t.Errorf("%d names in %d bytes", len(names), len(raw))
		}
	})
}

// FuzzRelayed holds that nothing of an upstream reaches the agent's terminal as a control character.
func FuzzRelayed(f *testing.F) {
	f.Add([]byte("remote: hello\nremote: \x1b[31mred\x1b[K\rremote: x"))
	f.Add([]byte("!\tHEAD:refs/heads/x\t[remote rejected] (\x1b]0;x\x07)\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var said bytes.Buffer
		r := &relayed{answer: &answer{w: &recorder{&said}, bands: true}}
		_, _ = r.Write(raw)
		r.end()
		became := map[string]string{}
		for line := range strings.SplitSeq(string(raw), "\n") {
			report(line, became)
		}
		in := bytes.NewReader(said.Bytes())
		for in.Len() > 0 {
			line, err := readPkt(in)
			if err != nil || len(line) == 0 {
				t.Fatal(errors.Join(err, errPkt))
			}
			became["said"] += string(line[1:])
		}
		for ref, text := range became {
			if i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }); i >= 0 {
				t.Errorf("%q: %q", ref, text)
			}
		}
	})
}

// recorder is an http.ResponseWriter that keeps the body.
type recorder struct{ body *bytes.Buffer }

func (r *recorder) Header() http.Header         { return http.Header{} }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(int)             {}
