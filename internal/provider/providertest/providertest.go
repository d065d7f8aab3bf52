// Package providertest holds every provider to the same contract.
//
// Its one rule: it knows no provider; what it tries is what a plan relies on.
package providertest

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// Run holds a provider to the contract for every kind of run that a plan can ask for. Settings
// are some that the provider accepts.
func Run(t *testing.T, p provider.Provider, settings provider.Settings) {
	t.Helper()
	if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(p.Name()) {
		t.Errorf("%q cannot be named in a manifest", p.Name())
	}
	base := provider.Request{Settings: settings, Dir: plan.Workspace, Prompt: "Be brief.", PromptPath: plan.PromptPath}
	with := func(change func(*provider.Request)) provider.Request {
		r := base
		change(&r)
		return r
	}
	for name, r := range map[string]provider.Request{
		"an interactive run":  base,
		"no prompt":           with(func(r *provider.Request) { r.Prompt = "" }),
		"at home":             with(func(r *provider.Request) { r.Dir = plan.Home }),
		"a headless run":      with(func(r *provider.Request) { r.Headless, r.Task = true, "-do 'it' $now" }),
		"a resume":            with(func(r *provider.Request) { r.Resume = true }),
		"arguments":           with(func(r *provider.Request) { r.Args = []string{"--model", "x y"} }),
		"the zero of doctor":  {Settings: settings},
		"a headless resume":   with(func(r *provider.Request) { r.Headless, r.Task, r.Resume = true, "go on", true }),
		"remote, with prompt": with(func(r *provider.Request) { r.RemoteControl = true }),
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := p.Spec(r)
			if r.RemoteControl && fault.Is(err, fault.Unsupported) && fault.HintOf(err) != "" {
				return // said at once, and what to do
			}
			if err != nil {
				t.Fatal(err)
			}
			hold(t, p, r, spec)
			again, err := p.Spec(r)
			if err != nil || !reflect.DeepEqual(spec, again) {
				t.Errorf("a second answer differs: %v", err)
			}
		})
	}
}

func hold(t *testing.T, p provider.Provider, r provider.Request, s provider.Spec) {
	t.Helper()
	if s.Binary.Command == "" || strings.Contains(s.Binary.Command, "/") {
		t.Errorf("the program %q is no name to look for", s.Binary.Command)
	}
	for _, route := range s.Routes {
		if route.Owner != p.Name() {
			t.Errorf("the route to %s is owned by %q", route.Host, route.Owner)
		}
		if route.Auth != nil && (route.Auth.TokenRef == "" || strings.HasPrefix(route.Auth.TokenRef, "literal:")) {
			t.Errorf("the route to %s names its token by %q", route.Host, route.Auth.TokenRef)
		}
	}
	for _, f := range s.Files {
		if !strings.HasPrefix(f.Path, plan.Home+"/") || strings.Contains(f.Path, "/../") {
			t.Errorf("the file %s is not below %s", f.Path, plan.Home)
		}
		if f.Mode&^0o700 != 0 {
			t.Errorf("the file %s has mode %o", f.Path, f.Mode)
		}
	}
	for _, below := range append([]string{s.HostSkills, s.Transcript}, s.GuestSkills...) {
		if strings.HasPrefix(below, "/") || strings.Contains(below, "..") {
			t.Errorf("%q is not below a home", below)
		}
	}
	words := strings.Join(s.Args, "\x00") + "\x00"
	if r.Headless && !strings.Contains(words, r.Task+"\x00") {
		t.Errorf("the task is not one word of %q", s.Args)
	}
	for _, a := range r.Args {
		if !strings.Contains(words, a+"\x00") {
			t.Errorf("%q is not one word of %q", a, s.Args)
		}
	}
	if len(s.Routes) > 0 && s.TokenHint == "" {
		t.Error("nothing says how a person gets the token")
	}
}
