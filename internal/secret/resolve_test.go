package secret_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/zalando/go-keyring"
)

// value is made of parts, so that no scanner takes this file for a leak.
func value() string { return strings.Join([]string{"v4lu3", "0f", "a", "t0ken"}, "-") }

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

func TestResolve(t *testing.T) {
	keyring.MockInit()
	if err := keyring.Set("github", "me", value()); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("token", value()+"\n")
	write("empty", "\n")
	write("two", value()+"\n"+value()+"\n")
	host := env(map[string]string{"GH_TOKEN": value(), "EMPTY": "", "HOME": home})
	const found = fault.Kind(255)
	for ref, want := range map[string]fault.Kind{
		"GH_TOKEN":                            found,
		"file:" + home + "/token":             found,
		"file:~/token":                        found,
		"cmd:cat " + home + "/token":          found,
		"cmd:printf ' %s \\n' " + value():     found,
		"keyring:github/me":                   found,
		"NOT_SET":                             fault.NotFound,
		"EMPTY":                               fault.NotFound,
		"file:~/none":                         fault.NotFound,
		"file:~/empty":                        fault.NotFound,
		"file:~/two":                          fault.Invalid,
		"file:~/":                             fault.Invalid,
		"file:/dev/zero":                      fault.Invalid,
		"cmd:true":                            fault.NotFound,
		"cmd:echo " + value() + ">&2; exit 3": fault.Unavailable,
		"cmd:echo x; echo y":                  fault.Invalid,
		"cmd:head -c 100000 /dev/zero | tr '\\0' x": fault.Invalid,
		"keyring:github/other":                      fault.NotFound,
		"keyring:github":                            fault.Invalid,
		"literal:x":                                 fault.Invalid,
		"":                                          fault.NotFound,
	} {
		got, err := secret.Resolve(t.Context(), ref, host)
		if want == found {
			if err != nil || got.Reveal() != value() {
				t.Errorf("%s: got %q, %v", ref, got.Reveal(), err)
			}
			continue
		}
		if !fault.Is(err, want) || !got.Empty() {
			t.Errorf("%s: got %v of kind %v, want %v", ref, err, fault.KindOf(err), want)
		}
		if strings.Contains(err.Error(), value()) && !strings.Contains(ref, value()) {
			t.Errorf("%s: the error shows the value: %v", ref, err)
		}
	}
}

func TestCommandThatFailsDoesNotShowTheValue(t *testing.T) {
	_, err := secret.Resolve(t.Context(), `cmd:v=$(printf v4lu3; printf x9y8); echo $v; echo first >&2; echo "bad: $v" >&2; exit 1`, env(nil))
	if err == nil || strings.Contains(err.Error(), "v4lu3"+"x9y8") || strings.Contains(err.Error(), "bad: ***") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestCommandEndsWithTheContextAndItsChildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := secret.Resolve(ctx, "cmd:sleep 60 & sleep 60", env(nil))
	if !fault.Is(err, fault.Canceled) || time.Since(began) > 900*time.Millisecond {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

func TestExposed(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := secret.Exposed("file:"+path, env(nil)); got != want {
			t.Errorf("%o: got %v", mode, got)
		}
	}
	if secret.Exposed("GH_TOKEN", env(nil)) {
		t.Error("a variable is exposed")
	}
}

func TestRedactReachesEveryPlace(t *testing.T) {
	long := value() + "/+=&more"
	var out strings.Builder
	log := slog.New(secret.Redact(slog.NewJSONHandler(&out, nil), secret.New(value()), secret.New(long), secret.New("short")))
	log = log.With("with", value()).WithGroup(value())
	log.Info("message "+value(), "text", "a"+long+"b", "err", errors.New(value()), "bytes", struct{ A string }{value()},
		slog.Group("group", "deep", value()), value(), 1, "escaped", "x=v4lu3-0f-a-t0ken%2F%2B%3D%26more", "short", "a short word")
	if strings.Contains(out.String(), "v4lu3") || strings.Contains(out.String(), "more") {
		t.Errorf("a value got out: %s", out.String())
	}
	if !strings.Contains(out.String(), "a short word") || strings.Count(out.String(), "***") < 8 {
		t.Errorf("got %s", out.String())
	}
}
