package external_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/external"
	"github.com/bot-bottle/bot-bottle/internal/provider/providertest"
)

// made is a plugin with the given program.
func made(t *testing.T, script string) external.Provider {
	t.Helper()
	p, _ := madeIn(t, script)
	return p
}

// madeIn is the same with its directory.
func madeIn(t *testing.T, script string) (p external.Provider, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "mine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "provider"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return external.New(dir, "/usr/local/bin:/usr/bin:/bin"), dir
}

func reply(more string) string {
	return `cat >/dev/null; cat <<'REPLY'
{"version":1,"program":{"command":"sh"},"args":["{task}","{args}"]` + more + `}
REPLY
`
}

func TestTheExamplesKeepTheContract(t *testing.T) {
	for _, name := range []string{"shell", "opencode", "python"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "..", "examples", "providers", name))); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries { // a checkout may be writable by a group
				if err := os.Chmod(filepath.Join(dir, e.Name()), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			providertest.Run(t, external.New(dir, os.Getenv("PATH")), provider.Settings{AuthToken: "SOME_KEY"})
		})
	}
}

// TestWhatAPluginMayNotDo gives each its reason.
func TestWhatAPluginMayNotDo(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"garbage":                        {"echo garbage", "not understood"},
		"nothing":                        {"exit 0", "not understood"},
		"an unknown field":               {reply(`,"mounts":["/"]`), `unknown field "mounts"`},
		"two replies":                    {reply("") + reply(""), "followed by something else"},
		"another version":                {`echo '{"version":2,"program":{"command":"sh"}}'`, "version 2, not 1"},
		"a failure":                      {"echo what went wrong >&2; exit 3", "what went wrong"},
		"too much":                       {"head -c 3000000 /dev/zero", "longer than"},
		"a file outside":                 {reply(`,"files":[{"path":"../x","content":""}]`), `files: "../x" is not below the home`},
		"an absolute file":               {reply(`,"files":[{"path":"/etc/passwd","content":""}]`), "is not below the home"},
		"dots inside":                    {reply(`,"files":[{"path":"a/../../x","content":""}]`), "is not below the home"},
		"a file by a detour":             {reply(`,"files":[{"path":"a/../x","content":""}]`), "is not below the home"},
		"a file with a line in its name": {reply(`,"files":[{"path":"a\nb","content":""}]`), "is not below the home"},
		"the home as a file":             {reply(`,"files":[{"path":".","content":""}]`), "is not below the home"},
		"a word with a NUL":              {strings.Replace(reply(""), `"{args}"`, `"a\u0000b"`, 1), "a word of args holds a NUL"},
		"a file twice":                   {reply(`,"files":[{"path":"a","content":""},{"path":"a","content":"x"}]`), `files: "a" is there twice`},
		"a file that is a directory":     {reply(`,"files":[{"path":"a/b/c","content":""},{"path":"a","content":""}]`), `"a" cannot be a file and the directory of "a/b/c"`},
		"a directory that is a file":     {reply(`,"files":[{"path":"a/b","content":""},{"path":"a/b/c","content":""}]`), `"a/b" cannot be a file and the directory of "a/b/c"`},
		"the prompt":                     {reply(`,"files":[{"path":".bot-bottle-prompt.txt","content":""}]`), "bot-bottle's own"},
		"the canary":                     {reply(`,"files":[{"path":".bot-bottle-canary","content":""}]`), "bot-bottle's own"},
		"the trust store":                {reply(`,"files":[{"path":".bot-bottle/java-trust.jks","content":""}]`), "bot-bottle's own"},
		"below its directory":            {reply(`,"files":[{"path":".bot-bottle/x","content":""}]`), "bot-bottle's own"},
		"its directory as a file":        {reply(`,"files":[{"path":".bot-bottle","content":""}]`), "bot-bottle's own"},
		"a variable of the program":      {reply(`,"env":{"BOT_BOTTLE_CANARY":"x"}`), "env.BOT_BOTTLE_CANARY is set by bot-bottle"},
		"a proxy":                        {reply(`,"env":{"HTTPS_PROXY":"x"}`), "is set by bot-bottle"},
		"a proxy in small letters":       {reply(`,"env":{"no_proxy":"*"}`), "is set by bot-bottle"},
		"whom to trust":                  {reply(`,"env":{"SSL_CERT_FILE":"/dev/null"}`), "is set by bot-bottle"},
		"a variable that is none":        {reply(`,"env":{"A=B":"x"}`), "no name of a variable"},
		"a variable with a NUL":          {reply(`,"env":{"X":"a\u0000b"}`), "env.X holds a NUL"},
		"a step with a NUL":              {reply(`,"steps":[["a\u0000b"]]`), "a word of steps holds a NUL"},
		"an escape in a file's name":     {reply(`,"files":[{"path":"a\u001b[31m","mode":511,"content":""}]`), "files: a?[31m has mode 777"},
		"a file for others":              {reply(`,"files":[{"path":"x","mode":511,"content":""}]`), "only the owner's bits"},
		"a transcript outside":           {reply(`,"transcript":"../../.ssh"`), "is not below the home"},
		"skills outside":                 {reply(`,"skills":"/etc"`), "is not below the home"},
		"a program by its path":          {`echo '{"version":1,"program":{"command":"../sh"}}'`, "no name of a program"},
		"a program not beside":           {`echo '{"version":1,"program":{"command":"sh","beside":true}}'`, "no executable file"},
		"a package as a flag":            {`echo '{"version":1,"program":{"command":"sh","npm":"--prefix"}}'`, "no name of a package"},
		"a secret by reference":          {reply(`,"routes":[{"host":"a.example","credential":{"scheme":"Bearer","token_ref":"GH_TOKEN"}}]`), `unknown field "token_ref"`},
		"a secret of the host":           {reply(`,"env":{"X":"${GH_TOKEN}"}`), "asks for a value of the host"},
		"a secret from a question":       {reply(`,"env":{"X":"?Password"}`), "asks for a value of the host"},
		"every host":                     {reply(`,"routes":[{"host":"*.example.org"}]`), "names its hosts one by one"},
		"no host":                        {reply(`,"routes":[{"host":"not a host"}]`), "routes:"},
		"another way to a host":          {reply(`,"routes":[{"host":"a.example","connect_to":"127.0.0.1:22"}]`), `unknown field "connect_to"`},
		"a headless run of nothing":      {`echo '{"version":1,"program":{"command":"sh"}}'`, "do not hold {task}"},
		"a credential that nobody named": {reply(`,"routes":[{"host":"a.example","credential":{"scheme":"Bearer"}}]`), "set agent_provider.auth_token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := made(t, tc.script).Spec(provider.Request{Headless: true, Task: "do it"})
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "/mine/provider") || fault.HintOf(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAPluginThatHangsIsEndedWithItsChildren(t *testing.T) {
	began := time.Now()
	alive := filepath.Join(t.TempDir(), "alive")
	_, err := made(t, "(trap '' TERM; exec 9>"+alive+"; flock 9; exec sleep 1000) & wait").Spec(provider.Request{})
	if err == nil || !strings.Contains(err.Error(), "did not answer within 5s") || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	held, err := os.Open(alive) // by the child, as long as it lives
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("its child goes on")
		}
	}
}

// TestAPluginThatLeavesAProcessIsRefused has one that keeps its output open.
func TestAPluginThatLeavesAProcessIsRefused(t *testing.T) {
	_, err := made(t, "sleep 4 & "+reply("")).Spec(provider.Request{})
	if err == nil || !strings.Contains(err.Error(), "left a process behind") {
		t.Errorf("%v", err)
	}
}

// TestAPluginGetsNoSecret looks at everything that it gets.
func TestAPluginGetsNoSecret(t *testing.T) {
	t.Setenv("MY_TOKEN", "value-of-the-token")
	// One that this process was given itself, as a shell gives what it has open.
	secret, err := os.Create(filepath.Join(t.TempDir(), "of-the-owner"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	given, err := syscall.Dup(int(secret.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(given)
	p, dir := madeIn(t, `(cat; echo; echo "= variables"; env; echo "= descriptors"; ls -l /proc/self/fd) > seen; echo '{"version":1,"error":"it looked"}'`)
	_, err = p.Spec(provider.Request{Settings: provider.Settings{AuthToken: "MY_TOKEN"}, Task: "t"})
	if err == nil || !strings.Contains(err.Error(), "it looked") {
		t.Fatalf("%v", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	seen := string(raw)
	if strings.Contains(seen, "value-of") || strings.Contains(seen, "MY_TOKEN") {
		t.Errorf("it sees the token or its name:\n%s", seen)
	}
	if !strings.Contains(seen, `"has_credential":true`) {
		t.Errorf("it cannot know that there is a credential:\n%s", seen)
	}
	_, rest, _ := strings.Cut(seen, "= variables\n")
	variables, descriptors, _ := strings.Cut(rest, "= descriptors\n")
	for line := range strings.Lines(variables) {
		switch name, _, _ := strings.Cut(line, "="); name {
		case "PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_": // the shell adds all but two
		default:
			t.Errorf("it has the variable %s", name)
		}
	}
	if strings.Contains(descriptors, "of-the-owner") || !strings.Contains(descriptors, "seen") {
		t.Errorf("it has the descriptors\n%s", descriptors)
	}
}

func TestAProgramThatOthersCouldHaveWrittenIsNotRun(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a program that others may write":   func(dir string) error { return os.Chmod(filepath.Join(dir, "provider"), 0o722) },
		"a program that a group may write":  func(dir string) error { return os.Chmod(filepath.Join(dir, "provider"), 0o720) },
		"a directory that others may write": func(dir string) error { return os.Chmod(dir, 0o777) },
		"a program beside it":               func(dir string) error { return os.Chmod(filepath.Join(dir, "beside"), 0o722) },
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := madeIn(t, `echo '{"version":1,"program":{"command":"beside","beside":true}}'`)
			if err := os.WriteFile(filepath.Join(dir, "beside"), []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			found := external.Find(filepath.Dir(dir), "/usr/bin:/bin")
			if len(found) != 1 || found[0].Name() != "mine" {
				t.Fatalf("found %v", found)
			}
			if _, err := found[0].Spec(provider.Request{}); err != nil {
				t.Fatal(err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := found[0].Spec(provider.Request{}); err == nil || !strings.Contains(err.Error(), "others may write") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAProgramBesideIsAnExecutableFile(t *testing.T) {
	for name, put := range map[string]func(file string) error{
		"a link":         func(file string) error { return os.Symlink("/bin/sh", file) },
		"a directory":    func(file string) error { return os.Mkdir(file, 0o755) },
		"not executable": func(file string) error { return os.WriteFile(file, nil, 0o600) },
	} {
		p, dir := madeIn(t, `echo '{"version":1,"program":{"command":"beside","beside":true}}'`)
		if err := put(filepath.Join(dir, "beside")); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Spec(provider.Request{}); err == nil || !strings.Contains(err.Error(), "there is no executable file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAProgramOfAnotherUserIsNotRun(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Require(t, need.Root, errors.New("only root can give a file away"))
	}
	for _, what := range []string{"provider", "."} {
		p, dir := madeIn(t, reply(""))
		if err := os.Chown(filepath.Join(dir, what), 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Spec(provider.Request{}); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWhatIsSpecificToARun are requests that a reply has to fit.
func TestWhatIsSpecificToARun(t *testing.T) {
	drops := made(t, `cat >/dev/null; echo '{"version":1,"program":{"command":"sh"},"args":["{task}"]}'`)
	if _, err := drops.Spec(provider.Request{Headless: true, Task: "t", Args: []string{"of the user"}}); err == nil || !strings.Contains(err.Error(), "args do not hold {args}") {
		t.Errorf("%v", err)
	}
	login := provider.Request{Settings: provider.Settings{ForwardHostCredentials: true}}
	if _, err := made(t, reply("")).Spec(login); !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "auth_token") {
		t.Errorf("%v", err)
	}
}

// TestAPluginsWordsAreOneShortLine has one that says a lot.
func TestAPluginsWordsAreOneShortLine(t *testing.T) {
	long := strings.Repeat("many words ", 200)
	for name, script := range map[string]string{
		"an error": `cat >/dev/null; printf '{"version":1,"error":"one\\nline %s\\u001b[31m","hint":"\\u202ea\\nhint %s"}' "` + long + `" "` + long + `"`,
		"a crash":  `printf 'one\nline %s' "` + long + `" >&2; exit 3`,
	} {
		_, err := made(t, script).Spec(provider.Request{})
		if err == nil || strings.ContainsAny(err.Error()+fault.HintOf(err), "\x1b\u202e") || len(err.Error()) > 600 || len(fault.HintOf(err)) > 600 || strings.Contains(err.Error()+fault.HintOf(err), "\n") || !strings.Contains(err.Error(), "one line many") {
			t.Errorf("%s: %d bytes: %v", name, len(err.Error()), err)
		}
	}
}

func TestOnlyWhatAManifestCanNameIsFound(t *testing.T) {
	_, dir := madeIn(t, reply(""))
	below := filepath.Dir(dir)
	for _, name := range []string{"Capital", "with space", "..hidden", "-flag", "nothing"} {
		if err := os.MkdirAll(filepath.Join(below, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "nothing" {
			continue
		}
		if err := os.WriteFile(filepath.Join(below, name, "provider"), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if found := external.Find(below, ""); len(found) != 1 || found[0].Name() != "mine" {
		t.Errorf("found %v", found)
	}
}

func TestADockerfileIsAFileOfAReasonableSize(t *testing.T) {
	for name, put := range map[string]func(file string) error{
		"a directory": func(file string) error { return os.Mkdir(file, 0o755) },
		"a large one": func(file string) error { return os.WriteFile(file, make([]byte, 300<<10), 0o600) },
	} {
		p, dir := madeIn(t, reply(""))
		if err := put(filepath.Join(dir, "Dockerfile")); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Spec(provider.Request{}); err == nil || !strings.Contains(err.Error(), "no regular file of a reasonable size") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReplyBecomesASpec(t *testing.T) {
	p := made(t, reply(`,"env":{"KEY":"{placeholder}"},"files":[{"path":".rc","content":"x"}],"transcript":".log",
"routes":[{"host":"API.example.org","paths":["/v1"],"credential":{"scheme":"header","name":"X-Key"}}],"skills":".s"`))
	spec, err := p.Spec(provider.Request{Settings: provider.Settings{AuthToken: "MY_KEY"}, Headless: true, Task: "t", Args: []string{"a", "b c"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Args":["t","a","b c"]`, `"path":"/home/node/.rc"`, `"host":"api.example.org"`, `"token_ref":"MY_KEY"`, `"name":"X-Key"`, provider.Placeholder, `".s"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
}
