package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
)

func agentFile(bottle, prompt string) string { return "---\nbottle: " + bottle + "\n---\n" + prompt }

func warned(l *manifest.Library, part string) bool {
	return slices.ContainsFunc(l.Warnings(), func(w manifest.Warning) bool { return strings.Contains(w.String(), part) })
}

func TestWithNoManifestsTheBuiltinsWork(t *testing.T) {
	l := open(t, manifest.Options{Home: filepath.Join(t.TempDir(), "none"), Cwd: t.TempDir(), Templates: []string{"claude", "codex"}})
	for _, name := range []string{"claude", "codex"} {
		s, err := l.Select(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Agent.Source != manifest.FromBuiltin || s.Agent.Prompt == "" || s.Bottle.Name != name || s.Bottle.Provider.Template != name ||
			s.Bottle.Workspace != manifest.WorkspaceCopy || !s.Bottle.Supervise || len(s.Bottle.Egress.Routes) != 0 {
			t.Errorf("%s: %+v %+v", name, s.Agent, s.Bottle)
		}
	}
	if problems, warnings := l.ValidateAll(); len(problems)+len(warnings) != 0 {
		t.Error(problems, warnings)
	}
}

func TestAFileOfTheHomeReplacesABuiltin(t *testing.T) {
	l := open(t, manifest.Options{Home: folder(t, map[string]string{
		"bottles/claude.md": front("workspace: none\n"), "agents/claude.md": agentFile("claude", "mine\n")})})
	s, err := l.Select("claude")
	if err != nil || s.Agent.Prompt != "mine" || s.Bottle.Workspace != manifest.WorkspaceNone {
		t.Errorf("%+v, %v", s, err)
	}
	if names := l.Names(manifest.KindBottle); !slices.Equal(names, []string{"claude", "codex"}) {
		t.Errorf("names %v", names)
	}
}

func TestARepositoryBringsAgentsNeverBottles(t *testing.T) {
	l := open(t, manifest.Options{
		Home: folder(t, map[string]string{"agents/mine.md": agentFile("claude", "mine")}),
		Cwd: folder(t, map[string]string{
			".bot-bottle/agents/theirs.md": agentFile("claude", "theirs"),
			".bot-bottle/agents/mine.md":   agentFile("codex", "theirs"),
			".bot-bottle/agents/claude.md": agentFile("codex", "theirs"),
			".bot-bottle/bottles/evil.md":  front("env: {A: ${A}}\n"),
			".bot-bottle/bottles/codex.md": front("env: {A: ${A}}\n"),
		})})
	if a, err := l.Agent("theirs"); err != nil || a.Source != manifest.FromRepository || a.Prompt != "theirs" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := l.Agent("mine"); err != nil || a.Prompt != "mine" {
		t.Errorf("a repository took the place of the operator's agent: %+v, %v", a, err)
	}
	if a, err := l.Agent("claude"); err != nil || a.Source != manifest.FromBuiltin {
		t.Errorf("a repository took the place of a built-in: %+v, %v", a, err)
	}
	if _, err := l.Bottle("evil"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a repository's bottle was read: %v", err)
	}
	if b, err := l.Bottle("codex"); err != nil || len(b.Env) != 0 {
		t.Errorf("a repository's bottle was read: %+v, %v", b, err)
	}
	for _, part := range []string{"bottles: is not read: a repository cannot bring bottles", "mine.md: is not used: there is a home agent", "claude.md: is not used: there is a built-in agent"} {
		if !warned(l, part) {
			t.Errorf("no warning %q in %v", part, l.Warnings())
		}
	}
}

func TestTheHomeIsNotTakenForARepository(t *testing.T) {
	user := folder(t, map[string]string{".bot-bottle/agents/a.md": agentFile("claude", "x"), ".bot-bottle/bottles/b.md": front("")})
	l := open(t, manifest.Options{Home: filepath.Join(user, ".bot-bottle"), Cwd: user})
	if w := l.Warnings(); len(w) != 0 {
		t.Error(w)
	}
	if a, err := l.Agent("a"); err != nil || a.Source != manifest.FromHome {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestLinksThatLeaveTheRepositoryAreNotFollowed(t *testing.T) {
	outside := folder(t, map[string]string{"secret.md": agentFile("claude", "the operator's own text"), "agents/x.md": agentFile("claude", "the operator's own text")})
	cwd := folder(t, map[string]string{".bot-bottle/agents/inside.md": agentFile("claude", "fine"), "kept/real.md": agentFile("claude", "linked")})
	for link, to := range map[string]string{"file": filepath.Join(outside, "secret.md"), "relative": "../../../../../../../../" + outside + "/secret.md", "within": "../../kept/real.md"} {
		if err := os.Symlink(to, filepath.Join(cwd, ".bot-bottle/agents", link+".md")); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, manifest.Options{Cwd: cwd})
	for _, name := range []string{"file", "relative"} {
		if a, err := l.Agent(name); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "cannot be read: path escapes") {
			t.Errorf("%s was read: %+v, %v", name, a, err)
		}
	}
	if a, err := l.Agent("within"); err != nil || a.Prompt != "linked" {
		t.Errorf("%+v, %v", a, err)
	}

	cwd = t.TempDir()
	if err := os.Symlink(outside, filepath.Join(cwd, ".bot-bottle")); err != nil {
		t.Fatal(err)
	}
	l = open(t, manifest.Options{Cwd: cwd})
	if _, err := l.Agent("x"); !fault.Is(err, fault.NotFound) || !warned(l, "agents: is not read: path escapes") {
		t.Errorf("a linked folder was read: %v, %v", err, l.Warnings())
	}
}

func TestOddFilesDoNotStopTheOthers(t *testing.T) {
	dir := folder(t, map[string]string{
		"bottles/good.md": front(""), "bottles/bad.md": front("x: 1\n"), "bottles/Bad Name.md": front(""),
		"bottles/big.md":    front("") + strings.Repeat("x", manifest.MaxSize),
		"bottles/most.md":   front("") + strings.Repeat("x", manifest.MaxSize-len(front(""))),
		"bottles/notes.md~": "", "bottles/.hidden.md": "", "agents/lost.md": agentFile("god", ""), "agents/fine.md": agentFile("good", ""),
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "bottles/pipe.md"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "bottles/dangling.md")); err != nil {
		t.Fatal(err)
	}
	l := open(t, manifest.Options{Home: dir})
	if _, err := l.Select("fine"); err != nil {
		t.Error(err)
	}
	if _, err := l.Bottle("most"); err != nil {
		t.Error(err)
	}
	problems, _ := l.ValidateAll()
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(p.String(), dir+"/"))
	}
	want := []string{
		`agents/lost.md:2:9: bottle: there is no bottle "god"; did you mean "good"? there are the bottles bad, big, claude, codex, dangling, good, most, pipe`,
		"bottles/Bad Name.md: has a name that cannot be used; use a lower-case letter, then letters, digits and dashes, 48 at most, and .md",
		"bottles/bad.md:2:1: x: is not a known key; known here: extends, env, agent_provider, workspace, git-gate, egress, supervise, resources",
		"bottles/big.md:1:1: is larger than 64 KB",
		"bottles/dangling.md: cannot be read: no such file or directory",
		"bottles/pipe.md: cannot be read: is not a regular file",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNamesThatDoNotExist(t *testing.T) {
	l := home(t, map[string]string{"prod": "{}\n", "agents/api": "bottle: prod\n"})
	for _, tt := range []struct {
		err        error
		text, hint string
	}{
		{errOf(l.Agent("apl")), `cannot find the agent "apl"`, `did you mean "api"?`},
		{errOf(l.Select("zzzzzz")), `cannot find the agent "zzzzzz"`, "there are the agents api, claude, codex"},
		{errOf(l.Bottle("prdo")), `cannot find the bottle "prdo"`, `did you mean "prod"?`},
		{errOf(l.Select("api", "../../etc/x")), `cannot find the bottle "../../etc/x"`, "there are the bottles claude, codex, prod"},
	} {
		if !fault.Is(tt.err, fault.NotFound) || tt.err.Error() != tt.text || fault.HintOf(tt.err) != tt.hint {
			t.Errorf("got %v (%s), want %s (%s)", tt.err, fault.HintOf(tt.err), tt.text, tt.hint)
		}
	}
	if _, err := l.Bottle(); !fault.Is(err, fault.Usage) {
		t.Errorf("no name: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestSelect(t *testing.T) {
	l := home(t, map[string]string{
		"dev":          "git-gate: {user: {name: Bottle, email: bottle@example.org}}\n",
		"extra":        "env: {A: b}\n",
		"broken":       "x: 1\n",
		"agents/plain": "bottle: dev\n",
		"agents/named": "bottle: dev\ngit-gate: {user: {name: Agent}}\nskills: [tdd, review]\n",
		"agents/lost":  "bottle: broken\ny: 1\n",
	})
	s, err := l.Select("named")
	if err != nil || s.User != (manifest.GitUser{Name: "Agent", Email: "bottle@example.org"}) || s.NameFrom != "agent" || s.EmailFrom != "bottle" ||
		!slices.Equal(s.Agent.Skills, []string{"tdd", "review"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = l.Select("plain", "dev", "extra"); err != nil || s.Bottle.Name != "dev+extra" || len(s.Bottle.Env) != 1 || s.NameFrom != "bottle" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = l.Select("plain", "extra"); err != nil || s.User != (manifest.GitUser{}) || s.NameFrom != "" {
		t.Errorf("named bottles did not take the place of the agent's: %+v, %v", s, err)
	}
	_, err = l.Select("lost")
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "lost.md:3:1: y:") || !strings.Contains(err.Error(), "broken.md:2:1: x:") {
		t.Errorf("got %v, want the agent's and the bottle's problems", err)
	}
}

func TestFilesAreReadOnlyWhenAskedFor(t *testing.T) {
	dir := folder(t, map[string]string{"bottles/a.md": front("x: 1\n"), "bottles/b.md": front("env: {A: \"pre-${X}\"}\n"), "agents/a.md": agentFile("b", "")})
	l := open(t, manifest.Options{Home: dir})
	if len(l.Warnings()) != 0 {
		t.Error("a file was read before it was asked for")
	}
	if err := os.Remove(filepath.Join(dir, "bottles/a.md")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Select("a"); err != nil || !warned(l, "env.A") {
		t.Errorf("%v, %v", err, l.Warnings())
	}
}

func TestPromptIsTheTrimmedBody(t *testing.T) {
	l := open(t, manifest.Options{Home: folder(t, map[string]string{"agents/a.md": "\ufeff---\r\nbottle: claude\r\n---\r\n\r\nLine one.\r\n---\r\nLine two.\r\n\r\n"})})
	if a, err := l.Agent("a"); err != nil || a.Prompt != "Line one.\n---\nLine two." {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestALiteralKnowsThatItHasLines(t *testing.T) {
	l := home(t, map[string]string{"a": "env:\n  ONE: x\n  MANY: |\n    x\n    y\n  ASK: \"?\"\n  CODE: 0644\n"})
	b, err := l.Bottle("a")
	if err != nil {
		t.Fatal(err)
	}
	want := []manifest.Env{{Name: "ASK", Mode: manifest.EnvAsk, Ref: "Value of ASK"}, {Name: "CODE", Mode: manifest.EnvLiteral, Value: "0644"},
		{Name: "MANY", Mode: manifest.EnvLiteral, Value: "x\ny\n"}, {Name: "ONE", Mode: manifest.EnvLiteral, Value: "x"}}
	if !slices.Equal(b.Env, want) || !b.Env[2].Multiline() || b.Env[3].Multiline() {
		t.Errorf("%+v", b.Env)
	}
}

func TestNoMessageShowsWhatMayBeASecret(t *testing.T) {
	token := "ghp_" + strings.Repeat("a1B2", 9)
	key := "sk-ant-" + strings.Repeat("Zz9", 12)
	l := home(t, map[string]string{"a": "env: {A: \"pre ${X} " + key + "\", B: \"${" + key + "}\", C: [" + key + "]}\n" +
		"agent_provider: {auth_token: " + token + "}\n" +
		"egress:\n  upstream_proxy: http://u:" + key + "@proxy.example:3128\n  routes:\n" +
		"    - {host: a.example, auth: {scheme: Bearer, token_ref: " + key + "}}\n" +
		"    - {host: b.example, auth: {scheme: Bearer, token_ref: " + token + "}}\n" +
		"git-gate: {repos: {a: {url: \"https://git:" + key + "@git.example.org/x\", key: {provider: gitea, token_ref: " + token + ", api_url: \"https://u:" + key + "@x\"}}}}\n"})
	problems, warnings := l.ValidateAll()
	if len(problems) != 9 || len(warnings) != 1 {
		t.Errorf("%d problems %v, %d warnings %v", len(problems), problems, len(warnings), warnings)
	}
	for _, p := range problems {
		if strings.Contains(p.String(), token) || strings.Contains(p.String(), key) {
			t.Errorf("a secret got out: %s", p)
		}
	}
	for _, w := range warnings {
		if strings.Contains(w.String(), key) {
			t.Errorf("a secret got out: %s", w)
		}
	}
}
