package manifest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bot-bottle/bot-bottle/internal/manifest"
)

func schemas(t *testing.T) map[manifest.Kind]*jsonschema.Resolved {
	t.Helper()
	bottle, agent := manifest.Schema()
	out := map[manifest.Kind]*jsonschema.Resolved{}
	for kind, raw := range map[manifest.Kind][]byte{manifest.KindBottle: bottle, manifest.KindAgent: agent} {
		var s jsonschema.Schema
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		if s.Schema != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s: draft %q", kind, s.Schema)
		}
		resolved, err := s.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = resolved
	}
	return out
}

func valid(t *testing.T, s *jsonschema.Resolved, frontmatter string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(frontmatter), &v); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(v) // numbers as JSON has them
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemasAcceptWhatLoads(t *testing.T) {
	s := schemas(t)
	for _, tt := range []struct {
		kind manifest.Kind
		yaml string
	}{
		{manifest.KindBottle, example},
		{manifest.KindBottle, full},
		{manifest.KindBottle, "extends: [a, b]\negress:\nenv: {A: 1}\ngit-gate: {repos: }\n"},
		{manifest.KindBottle, "egress: {routes: [{host: a.example, dlp: {outbound_detectors: false}}]}\n"},
		{manifest.KindAgent, "bottle: dev\nskills: [a]\nmodel: {x: 1}\ngit-gate: {user: {name: x}}\n"},
	} {
		if err := valid(t, s[tt.kind], tt.yaml); err != nil {
			t.Errorf("%s refused: %v", tt.yaml, err)
		}
	}
}

func TestSchemasRefuseWhatDoesNotLoad(t *testing.T) {
	s := schemas(t)
	for _, tt := range []struct {
		kind manifest.Kind
		yaml string
	}{
		{manifest.KindBottle, "evn: {}\n"}, {manifest.KindBottle, "git: {}\n"}, {manifest.KindBottle, "workspace: all\n"},
		{manifest.KindBottle, "supervise: 1\n"}, {manifest.KindBottle, "extends: 3\n"}, {manifest.KindBottle, "env: {A: true}\n"},
		{manifest.KindBottle, "env: {A-B: x}\n"}, {manifest.KindBottle, "egress: {rout: []}\n"},
		{manifest.KindBottle, "egress: {routes: [{ports: [1]}]}\n"}, {manifest.KindBottle, "egress: {routes: [{host: a, ports: [0]}]}\n"},
		{manifest.KindBottle, "egress: {routes: [{host: a, auth: {}}]}\n"}, {manifest.KindBottle, "egress: {routes: [{host: a, role: x}]}\n"},
		{manifest.KindBottle, "egress: {routes: [{host: a, matches: []}]}\n"},
		{manifest.KindAgent, "skills: [a]\n"}, {manifest.KindAgent, "bottle: dev\ngit-gate: {repos: {}}\n"},
		{manifest.KindAgent, "bottle: dev\ntools: x\n"}, {manifest.KindAgent, "bottle: dev\nskills: [../x]\n"},
	} {
		if err := valid(t, s[tt.kind], tt.yaml); err == nil {
			t.Errorf("%s was accepted", tt.yaml)
		}
	}
}

func TestEveryKeyOfTheSchemasIsDescribed(t *testing.T) {
	bottle, agent := manifest.Schema()
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if properties, ok := m["properties"].(map[string]any); ok {
			if m["additionalProperties"] != false {
				t.Errorf("%s takes any key", path)
			}
			for name, p := range properties {
				if p, ok := p.(map[string]any); ok && p["description"] == nil {
					t.Errorf("%s.%s has no description", path, name)
				}
				walk(path+"."+name, p)
			}
		}
		for _, below := range []string{"items", "additionalProperties"} {
			walk(path+"/"+below, m[below])
		}
		if any, ok := m["anyOf"].([]any); ok {
			for _, v := range any {
				walk(path, v)
			}
		}
	}
	for _, raw := range [][]byte{bottle, agent} {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		walk("", v)
	}
}

func TestDraftsValidate(t *testing.T) {
	dir := folder(t, map[string]string{
		"bottles/dev.md": manifest.BottleDraft{Name: "dev", Template: "claude", AuthToken: "TOKEN", Workspace: manifest.WorkspaceCopy,
			GitName: `A "quoted": name # x`, GitEmail: "a@example.org", Hosts: []string{"*.example.org", "api.github.com"}}.Text(),
		"bottles/bare.md": manifest.BottleDraft{Name: "bare"}.Text(),
		"agents/api.md":   manifest.AgentDraft{Name: "api", Bottle: "dev", Skills: []string{"tdd"}, Prompt: "You fix bugs.\n---\nAlways."}.Text(),
		"agents/bare.md":  manifest.AgentDraft{Name: "bare", Bottle: "bare"}.Text(),
	})
	l := open(t, manifest.Options{Home: dir, Templates: []string{"claude"}})
	if problems, warnings := l.ValidateAll(); len(problems)+len(warnings) != 1 || !strings.Contains(problems[0].String(), "codex") {
		// the built-in codex bottle names a provider that this library does not know
		t.Fatal(problems, warnings)
	}
	s, err := l.Select("api")
	if err != nil {
		t.Fatal(err)
	}
	if s.User.Name != `A "quoted": name # x` || len(s.Bottle.Egress.Routes) != 2 || s.Bottle.Provider.AuthToken != "TOKEN" || s.Agent.Prompt != "You fix bugs.\n---\nAlways." {
		t.Errorf("%+v %+v", s.Agent, s.Bottle)
	}
	for _, kind := range []string{"bottles/dev.md", "agents/api.md"} {
		raw, err := os.ReadFile(filepath.Join(dir, kind))
		if err != nil {
			t.Fatal(err)
		}
		which := manifest.KindBottle
		if strings.HasPrefix(kind, "agents") {
			which = manifest.KindAgent
		}
		if err := valid(t, schemas(t)[which], strings.SplitN(string(raw), "---\n", 3)[1]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
