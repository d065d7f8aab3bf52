package external_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/external"
	"github.com/bot-bottle/bot-bottle/internal/provider/providertest"
)

// made is a plugin with the given program.
func made(t *testing.T, script string) external.Provider {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "provider"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return external.New(dir, "/usr/local/bin:/usr/bin:/bin")
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
}

// TestAPluginGetsNoSecret looks at everything that it gets.
func TestAPluginGetsNoSecret(t *testing.T) {
	t.Setenv("MY_TOKEN", "value-of-the-token")
	secret, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	p := made(t, `seen=$(cat; env; ls -l /proc/self/fd | tail -n +2 | wc -l)
printf '{"version":1,"error":"%s"}' "$(printf %s "$seen" | tr '\n"\\' '   ')"`)
	_, err = p.Spec(provider.Request{Settings: provider.Settings{AuthToken: "MY_TOKEN"}, Task: "t"})
	if err == nil || strings.Contains(err.Error(), "value-of") || strings.Contains(err.Error(), "MY_TOKEN") || strings.Contains(err.Error(), "HOME=") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(fmt.Sprint(err), "has_credential :true") {
		t.Errorf("it cannot know that there is a credential: %v", err)
	}
}

func TestAProgramThatOthersCouldHaveWrittenIsNotRun(t *testing.T) {
	p := made(t, reply(""))
	found := external.Find(filepath.Dir(dirOf(t, p)), "/usr/bin:/bin")
	if len(found) != 1 || found[0].Name() != "mine" {
		t.Fatalf("found %v", found)
	}
	if err := os.Chmod(filepath.Join(dirOf(t, p), "provider"), 0o722); err != nil {
		t.Fatal(err)
	}
	if _, err := found[0].Spec(provider.Request{}); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("%v", err)
	}
}

func dirOf(t *testing.T, p external.Provider) string {
	t.Helper()
	_, err := p.Spec(provider.Request{Settings: provider.Settings{AuthToken: "X"}})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := p.Spec(provider.Request{})
	if err != nil {
		t.Fatal(err)
	}
	_, dir, _ := strings.Cut(spec.Notes[0], "the plugin at ")
	return dir
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
