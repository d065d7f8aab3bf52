package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func libraryOf(t *testing.T, files map[string]string) (*manifest.Library, string) {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "bottles"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, "bottles", name+".md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lib, err := manifest.Open(manifest.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	return lib, home
}

func newRoute() policy.Route {
	return policy.Route{Host: "new.example.org", Ports: []uint16{443}, Matches: []policy.Match{{Methods: []string{"GET", "HEAD"}}}}
}

const newBlock = "- host: new.example.org\n  ports: [443]\n  matches: [{methods: [GET, HEAD]}]\n"

func TestARouteIsAddedAndEveryLineStays(t *testing.T) {
	flow := "{host: new.example.org, ports: [443], matches: [{methods: [GET, HEAD]}]}"
	for name, tc := range map[string]struct{ before, after string }{
		"no egress":                  {"workspace: copy # mine\n", "workspace: copy # mine\negress:\n  routes:\n    " + strings.ReplaceAll(strings.TrimSuffix(newBlock, "\n"), "\n", "\n    ") + "\n"},
		"an egress without a value":  {"egress: # nothing yet\nworkspace: copy\n", "egress: # nothing yet\n  routes:\n    " + strings.ReplaceAll(strings.TrimSuffix(newBlock, "\n"), "\n", "\n    ") + "\nworkspace: copy\n"},
		"an empty egress":            {"egress: {} # nothing\n", "egress: {routes: [" + flow + "]} # nothing\n"},
		"an egress with a log":       {"egress:\n  # much\n  log: full\n", "egress:\n  # much\n  routes:\n    " + strings.ReplaceAll(strings.TrimSuffix(newBlock, "\n"), "\n", "\n    ") + "\n  log: full\n"},
		"an egress on one line":      {"egress: {log: full, routes: [{host: a.example.org}]}\n", "egress: {log: full, routes: [" + flow + ", {host: a.example.org}]}\n"},
		"an empty list":              {"egress:\n  routes: [] # none\n", "egress:\n  routes: [" + flow + "] # none\n"},
		"a list":                     {"egress:\n  routes: # what may leave\n    # the first\n    - host: a.example.org # mine\n      git: fetch\n    - host: b.example.org\n", "egress:\n  routes: # what may leave\n    " + strings.ReplaceAll(strings.TrimSuffix(newBlock, "\n"), "\n", "\n    ") + "\n    # the first\n    - host: a.example.org # mine\n      git: fetch\n    - host: b.example.org\n"},
		"a list without indentation": {"egress:\n  routes:\n  - host: a.example.org\n", "egress:\n  routes:\n  " + strings.ReplaceAll(strings.TrimSuffix(newBlock, "\n"), "\n", "\n  ") + "\n  - host: a.example.org\n"},
	} {
		t.Run(name, func(t *testing.T) {
			lib, home := libraryOf(t, map[string]string{"dev": "---\n" + tc.before + "---\n\nWords: egress: {}\n"})
			edit, err := lib.AddRoute([]string{"dev"}, newRoute())
			if err != nil {
				t.Fatal(err, fault.HintOf(err))
			}
			if want := "---\n" + tc.after + "---\n\nWords: egress: {}\n"; edit.After != want {
				t.Errorf("got\n%s\nwant\n%s", edit.After, want)
			}
			if edit.File != filepath.Join(home, "bottles", "dev.md") || edit.Bottle != "dev" {
				t.Errorf("it is the file %s of %s", edit.File, edit.Bottle)
			}
		})
	}
}

func TestAMatchIsAddedToTheEntryOfItsHost(t *testing.T) {
	lib, _ := libraryOf(t, map[string]string{"dev": "---\negress:\n  routes:\n    - host: api.example.org\n      matches:\n        # reading\n        - methods: [GET]\n          paths: [{type: prefix, value: /v1/}]\n      auth: {scheme: Bearer, token_ref: TOKEN}\n---\n"})
	route := policy.Route{Host: "api.example.org", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "TOKEN"},
		Matches: []policy.Match{{Methods: []string{"POST"}, Paths: []policy.PathMatch{{Type: "exact", Value: "/v1/items"}}}}}
	edit, err := lib.AddRoute([]string{"dev"}, route)
	if err != nil {
		t.Fatal(err)
	}
	if want := "      matches:\n        - {methods: [POST], paths: [{type: exact, value: /v1/items}]}\n        # reading\n        - methods: [GET]\n"; !strings.Contains(edit.After, want) {
		t.Errorf("got\n%s", edit.After)
	}
}

func TestTheFileThatDeclaresIsEditedAndItsHeirsAreNamed(t *testing.T) {
	lib, home := libraryOf(t, map[string]string{
		"base":  "---\negress:\n  routes:\n    - host: a.example.org\n---\n",
		"dev":   "---\nextends: base\nworkspace: copy\n---\n",
		"other": "---\nextends: base\n---\n",
		"apart": "---\nextends: base\negress: {}\n---\n",
	})
	edit, err := lib.AddRoute([]string{"dev"}, newRoute())
	if err != nil {
		t.Fatal(err)
	}
	if edit.File != filepath.Join(home, "bottles", "base.md") || strings.Join(edit.Others, " ") != "other" {
		t.Errorf("it is %s, and for %q too", edit.File, edit.Others)
	}
}

func TestABuiltInBottleIsWrittenOut(t *testing.T) {
	lib, home := libraryOf(t, nil)
	edit, err := lib.AddRoute([]string{"claude"}, newRoute())
	if err != nil {
		t.Fatal(err)
	}
	if edit.File != filepath.Join(home, "bottles", "claude.md") || edit.Before != "" || !strings.Contains(edit.After, "template: claude") || !strings.Contains(edit.After, "new.example.org") {
		t.Errorf("%+v", edit)
	}
}

func TestWhatCannotBeAddedIsForThePerson(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		route policy.Route
	}{
		"a host without matches gets a port": {"egress:\n  routes:\n    - host: new.example.org\n", newRoute()},
		"a file with carriage returns":       {"workspace: copy\r\n", newRoute()},
		"another credential":                 {"egress:\n  routes:\n    - host: new.example.org\n      matches: [{methods: [POST]}]\n      auth: {scheme: Bearer, token_ref: T}\n", newRoute()},
	} {
		t.Run(name, func(t *testing.T) {
			lib, _ := libraryOf(t, map[string]string{"dev": "---\n" + tc.text + "---\n"})
			edit, err := lib.AddRoute([]string{"dev"}, tc.route)
			if edit != nil {
				t.Errorf("it would be\n%s", edit.After)
			}
			if !fault.Is(err, fault.Unsupported) || !strings.Contains(fault.HintOf(err), "host: new.example.org") {
				t.Errorf("got %v, %s", err, fault.HintOf(err))
			}
		})
	}
}
