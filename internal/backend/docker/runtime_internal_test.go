package docker

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

func TestARuntimeThatCannotIsNotUsed(t *testing.T) {
	there := map[string]json.RawMessage{"runc": nil, "runsc": json.RawMessage(`{"path":"/nowhere/runsc"}`)}
	good, old, absent := verdict{Kernel: "4.4.0"}, verdict{Refused: "too old"}, verdict{Refused: "no such file", Absent: true}
	for name, c := range map[string]struct {
		wanted   string
		runtimes map[string]json.RawMessage
		verdict  verdict
		runtime  string // "": refused
		says     string
		tried    bool
	}{
		"without one nothing is tried":             {"", nil, good, runc, "", false},
		"one that can is used":                     {"", there, good, runsc, "", true},
		"one that cannot is told about":            {"", there, old, runc, "too old", true},
		"one that is only listed is not":           {"", there, absent, runc, "", true},
		"runc is runc, and nothing is tried":       {"runc", there, good, runc, "", false},
		"runsc is runsc":                           {"runsc", there, good, runsc, "", true},
		"runsc that cannot is refused":             {"runsc", there, old, "", "too old", true},
		"and so is one that is only listed":        {"runsc", there, absent, "", "no such file", true},
		"runsc that is not registered is refused":  {"runsc", nil, good, "", "no runtime of that name", false},
		"another is refused before it is asked of": {"crun", there, good, "", "crun", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := New(Config{Getenv: func(v string) string { return map[string]string{runtimeVariable: c.wanted}[v] }})
			tried := false
			s, err := d.examine(t.Context(), nil, engine.Info{Runtimes: c.runtimes}, func(context.Context, *engine.Client, json.RawMessage) (verdict, error) {
				tried = true
				return c.verdict, nil
			})
			if tried != c.tried {
				t.Errorf("tried: %v", tried)
			}
			if c.runtime == "" {
				if !fault.Is(err, fault.Unsupported) && !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) || fault.HintOf(err) == "" {
					t.Errorf("%v, hint %q", err, fault.HintOf(err))
				}
				if d.found.Load() != nil {
					t.Error("it goes on without what was asked for")
				}
				return
			}
			if err != nil || s.runtime != c.runtime || s.refused != c.says {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func TestWhatATrialSays(t *testing.T) {
	for said, want := range map[string]verdict{
		"held by 4.4.0\n": {Kernel: "4.4.0"},
		"not gVisor: the engine started it on the kernel 6.1\n": {Refused: "not gVisor: the engine started it on the kernel 6.1", Absent: true},
		"a look into init: open: \"mem\"\n":                     {Refused: "a look into init: open: \"mem\""},
		"exec format error\x1b[31m held by":                     {Refused: "exec format error [31m held by"},
		"":                                                      {Refused: "a program in it ends without a word"},
	} {
		var v verdict
		if v.judge(said); v != want {
			t.Errorf("%q: %+v", said, v)
		}
	}
}

func TestAReleaseThatIsTooOldIsNotEvenTried(t *testing.T) {
	for said, want := range map[string]string{
		"runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n":        "its release 20221219 is too old",
		"runsc version release-20221212.0-5-g1234567\nspec: 1\n": "its release 20221212 is too old",
		"runsc version release-20250505.0\nspec: 1.1.0-rc.1\n":   "",
		"runsc version VERSION_MISSING\nspec: 1.1.0-rc.1\n":      "",
		"runc version 1.1.5+20221219\n":                          "",
		"":                                                       "",
	} {
		if got := releaseTooOld(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
	program := filepath.Join(t.TempDir(), "runsc")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(program, []byte("#!/bin/sh\necho runsc version 0.0~20221219.0\n"), 0o600))
	must(os.Chmod(program, 0o700))
	about, err := json.Marshal(map[string]string{"path": program})
	must(err)
	d := New(Config{Getenv: func(string) string { return "" }})
	s, err := d.examine(t.Context(), nil, engine.Info{Runtimes: map[string]json.RawMessage{runsc: about}}, d.try) // with no engine to ask
	if err != nil || s.runtime != runc || s.refused != "its release 20221219 is too old" {
		t.Errorf("%+v, %v", s, err)
	}
}
