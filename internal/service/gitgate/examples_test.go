//go:build linux

package gitgate_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/gate"
	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// perRule is how many of a rule's examples are looked at, unless BOT_BOTTLE_TEST_ALL_EXAMPLES is set.
const perRule = 3

// examples are those of gitleaks for its own rules.
func examples(t *testing.T) (rules, texts []string) {
	t.Helper()
	file, err := os.Open(need.OracleFile(t, "examples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	taken := map[string]int{}
	for lines.Scan() {
		var e struct{ Rule, Text string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if taken[e.Rule]++; taken[e.Rule] <= perRule || os.Getenv("BOT_BOTTLE_TEST_ALL_EXAMPLES") != "" {
			rules, texts = append(rules, e.Rule), append(texts, e.Text)
		}
	}
	if len(taken) < 200 {
		t.Fatalf("there are examples of %d rules only", len(taken))
	}
	return rules, texts
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// history writes commits for git fast-import. Marks are numbers; whatever holds example i has the mark i+1.
type history struct {
	*bufio.Writer
	next int // the mark of what holds no example
}

func (h *history) data(text string) { fmt.Fprintf(h, "data %d\n%s\n", len(text), text) }

func (h *history) commit(mark int, message string, rest ...string) {
	fmt.Fprintf(h, "commit refs/heads/main\nmark :%d\ncommitter A <a@example.org> %d +0000\n", mark, 1_700_000_000+mark)
	h.data(message)
	for _, line := range rest {
		_, _ = h.WriteString(line + "\n")
	}
}

func (h *history) blob(mark int, text string) {
	fmt.Fprintf(h, "blob\nmark :%d\n", mark)
	h.data(text)
}

func (h *history) mark() int { h.next++; return h.next }

// places are where an example can be in a push.
func places() map[string]func(h *history, i int, text string) {
	file := func(encode func(string) string) func(*history, int, string) {
		return func(h *history, i int, text string) {
			h.blob(i+1, encode(text))
			h.commit(h.mark(), "add", fmt.Sprintf("M 644 :%d %d/%d", i+1, i%64, i))
		}
	}
	return map[string]func(h *history, i int, text string){
		"a file":             file(func(text string) string { return text }),
		"a file in base64":   file(func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }),
		"a file in gzip":     file(gzipped),
		"gzip within base64": file(func(text string) string { return base64.StdEncoding.EncodeToString([]byte(gzipped(text))) }),
		"a file that was deleted again": func(h *history, i int, text string) {
			h.blob(i+1, text)
			h.commit(h.mark(), "add", fmt.Sprintf("M 644 :%d gone", i+1))
			h.commit(h.mark(), "remove", "D gone")
		},
		"a commit's message": func(h *history, i int, text string) { h.commit(i+1, text) },
		"a tag's message": func(h *history, i int, text string) {
			fmt.Fprintf(h, "tag t%d\nmark :%d\nfrom :1000000\ntagger A <a@example.org> 1700000000 +0000\n", i, i+1)
			h.data(text)
		},
		"a merge that nobody's side has": func(h *history, i int, text string) {
			side, base := h.mark(), h.next-1
			h.blob(i+1, text)
			h.commit(side, "side", fmt.Sprintf("from :%d", base), "M 644 inline side", "data 1", strconv.Itoa(i%10))
			main := h.mark()
			h.commit(main, "main", fmt.Sprintf("from :%d", base), "M 644 inline main", "data 1", strconv.Itoa(i%10))
			h.commit(h.mark(), "merge", fmt.Sprintf("from :%d", main), fmt.Sprintf("merge :%d", side), fmt.Sprintf("M 644 :%d f", i+1))
		},
	}
}

// TestEveryRulesExamplesAreFoundInEveryPlace puts them where a push can have them, one to an object,
// and has the objects looked at as a push has.
func TestEveryRulesExamplesAreFoundInEveryPlace(t *testing.T) {
	rules, texts := examples(t)
	for place, put := range places() {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			gatetest.Git(t, "", "init", "-q", "--bare", dir)
			tips := imported(t, dir, func(h *history) {
				h.commit(1_000_000, "first")
				h.next = 1_000_000
				for i, text := range texts {
					put(h, i, text)
				}
			})
			oids := marks(t, dir)
			found, err := surveyor(t).Survey(t.Context(), "app", filepath.Join(dir, "objects"), tips...)
			if err != nil {
				t.Fatal(err)
			}
			missed := map[string]int{}
			for i, rule := range rules {
				hits, listed := found[oids[i+1]]
				if !listed {
					t.Fatalf("example %d of %s is not in the push", i, rule)
				}
				if len(hits) == 0 {
					missed[rule]++
					t.Logf("%s: %q", rule, texts[i])
				}
			}
			if len(missed) > 0 {
				t.Errorf("of %d examples these are missed: %v", len(texts), missed)
			}
		})
	}
}

// imported makes a history and returns its tips.
func imported(t *testing.T, dir string, write func(*history)) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "fast-import", "--quiet", "--export-marks="+filepath.Join(dir, "marks"))
	cmd.Dir, cmd.Env = dir, gatetest.Env()
	read, stream := io.Pipe()
	cmd.Stdin = read
	go func() {
		h := &history{Writer: bufio.NewWriterSize(stream, 1<<20)}
		write(h)
		_ = stream.CloseWithError(h.Flush())
	}()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	return strings.Fields(gatetest.Git(t, dir, "for-each-ref", "--format=%(objectname)"))
}

// marks tells what the marks of an import became.
func marks(t *testing.T, dir string) map[int]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "marks"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for line := range strings.Lines(string(text)) {
		var mark int
		var oid string
		if _, err := fmt.Sscanf(line, ":%d %s", &mark, &oid); err != nil {
			t.Fatal(err)
		}
		out[mark] = oid
	}
	return out
}

type nowhere struct{}

func (nowhere) Record(audit.Event) {}

// surveyor is a gate with an empty mirror.
func surveyor(t *testing.T) *gitgate.Server {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	repo := plan.GitRepo{Name: "app", URL: "https://git.example.org/app", Token: "T", Mirror: t.TempDir()}
	s, err := gitgate.New(gitgate.Config{ID: "dev-abc12", Dir: t.TempDir(), Git: git, Repos: []plan.GitRepo{repo}}, gitgate.Deps{
		Scanner: gate.NewScanner(nil, nil), Keys: map[string]secret.String{"app": secret.New("t")}, Audit: nowhere{},
		Isolated: gate.CanIsolate(t.Context(), git),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
