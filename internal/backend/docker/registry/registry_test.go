package registry_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/registry"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// word is a password that is in no source.
func word(parts ...string) string { return strings.Join(parts, "-") }

// configured are the logins of a config.json.
func configured(t *testing.T, text string) *registry.Logins {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := registry.Read(func(name string) string { return map[string]string{"DOCKER_CONFIG": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestALoginIsFoundAsDockerWritesIt(t *testing.T) {
	l := configured(t, fmt.Sprintf(`{"auths":{
		"https://index.docker.io/v1/":{"auth":%q},"ghcr.io":{"auth":%q},"https://old.example/v1/":{"username":"u","password":%q},
		"acr.example:5000":{"auth":%q,"identitytoken":%q},"empty.example":{},"odd.example":{"auth":"?"}}}`,
		auth("hub", word("p", "1")), auth("gh", word("p:w", "2")), word("p", "3"), auth("00000000", ""), word("id", "4")))
	for host, want := range map[string]string{
		"registry-1.docker.io": "hub p-1", "docker.io": "hub p-1", "ghcr.io": "gh p:w-2", "old.example": "u p-3", "acr.example:5000": " id-4",
		"empty.example": "", "ghcr.io.evil.example": "", "acr.example": "", "": "",
	} {
		login, ok, err := l.For(t.Context(), host)
		got := ""
		if ok {
			got = login.User + " " + login.Secret.Reveal()
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", host, got, err, want)
		}
	}
	if _, _, err := l.For(t.Context(), "odd.example"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a login of no form: %v", err)
	}
}

func TestWithoutAConfigurationThereAreNoLogins(t *testing.T) {
	none := t.TempDir()
	l, err := registry.Read(func(name string) string { return map[string]string{"HOME": none}[name] })
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.For(t.Context(), "docker.io"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if header, err := l.Within(t.Context(), "FROM ghcr.io/x"); header != "" || err != nil {
		t.Errorf("%q, %v", header, err)
	}
}

func TestTheErrorOfABrokenConfigurationShowsNoneOfIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"x":{"auth":"`+word("hush", "hush")+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := registry.Read(func(string) string { return dir })
	if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
}

// helper puts a program of docker's kind into the PATH; it notes what it was asked.
func helper(t *testing.T, name, script string) (asked func() string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nread -r server\necho \"$1 $server\" >>" + dir + "/asked\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		raw, _ := os.ReadFile(filepath.Join(dir, "asked"))
		return strings.TrimSpace(string(raw))
	}
}

func TestAHelperIsAskedAsDockerAsks(t *testing.T) {
	asked := helper(t, "safe", `case $server in
		*quiet*) echo "credentials not found in native keychain"; exit 1;;
		*broken*) echo "`+word("hush", "hush")+`"; exit 3;;
		*token*) printf '{"Username":"<token>","Secret":"id-1"}';;
		*) printf '{"ServerURL":"%s","Username":"u","Secret":"s-1"}' "$server";;
	esac`)
	t.Chdir(t.TempDir()) // where a name with a slash would be looked for
	if err := os.Mkdir("docker-credential-x", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("docker-credential-x/y", []byte("#!/bin/sh\necho '{\"Username\":\"u\",\"Secret\":\"s\"}'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := configured(t, `{"credHelpers":{"one.example":"safe","path.example":"x/y","absent.example":"absent"},"credsStore":"safe"}`)
	for host, want := range map[string]string{"one.example": "u s-1", "docker.io": "u s-1", "token.example": " id-1", "quiet.example": ""} {
		login, ok, err := l.For(t.Context(), host)
		got := ""
		if ok {
			got = login.User + " " + login.Secret.Reveal()
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
	if got := asked(); !strings.Contains(got, "get https://index.docker.io/v1/") || !strings.Contains(got, "get one.example") {
		t.Errorf("it was asked %q", got)
	}
	for _, host := range []string{"broken.example", "path.example", "absent.example"} {
		if _, ok, err := l.For(t.Context(), host); ok || err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, %v", host, ok, err)
		}
	}
}

func TestTheClassicBuilderGetsTheLoginsThatItMayNeed(t *testing.T) {
	asked := helper(t, "safe", `printf '{"Username":"u","Secret":"s-1"}'`)
	auths := fmt.Sprintf(`"auths":{"https://index.docker.io/v1/":{"auth":%q},"ghcr.io":{"auth":%q},"other.example":{"auth":%q}}`,
		auth("hub", word("p", "1")), auth("gh", word("p", "2")), auth("o", word("p", "3")))
	sent := func(l *registry.Logins, texts ...string) map[string]map[string]string {
		t.Helper()
		header, err := l.Within(t.Context(), texts...)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.URLEncoding.DecodeString(header)
		var all map[string]map[string]string
		if err != nil || header != "" && json.Unmarshal(raw, &all) != nil {
			t.Fatalf("%q, %v", raw, err)
		}
		return all
	}
	got := sent(configured(t, "{"+auths+"}"), "FROM ghcr.io/team/base:1\nRUN x\n")
	if len(got) != 2 || got["ghcr.io"]["username"] != "gh" || got["ghcr.io"]["password"] != "p-2" || got["https://index.docker.io/v1/"]["username"] != "hub" {
		t.Errorf("%v", got)
	}
	l := configured(t, `{"credsStore":"safe","credHelpers":{"third.example":"safe"}}`)
	got = sent(l, "ARG BASE\nFROM ${BASE}\nCOPY --from=second.example:5000/x/y:1 /a /b\n", "first.example/base")
	if len(got) != 3 || got["first.example"]["password"] != "s-1" || got["second.example:5000"]["password"] != "s-1" {
		t.Errorf("%v; it was asked %q", got, asked())
	}
	if strings.Contains(asked(), "third.example") {
		t.Errorf("it was asked for what the build has no use for: %q", asked())
	}
}
