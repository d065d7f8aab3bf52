package plugin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bot-bottle/bot-bottle/plugin"
)

var update = flag.Bool("update", false, "write schema.json")

func TestTheSchemaIsThatOfTheTypes(t *testing.T) {
	request, err := jsonschema.For[plugin.Request](nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := jsonschema.For[plugin.Reply](nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.MarshalIndent(map[string]any{"request": request, "reply": reply}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", append(raw, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(raw)+"\n", plugin.Schema()); d != "" {
		t.Errorf("schema.json (-want +got; -update rewrites it):\n%s", d)
	}
}

func TestServe(t *testing.T) {
	for name, tc := range map[string]struct {
		request, want string
		answer        func(plugin.Request) (plugin.Reply, error)
	}{
		"an answer": {`{"version":1,"task":"t"}`, `"command":"x"`, func(r plugin.Request) (plugin.Reply, error) {
			return plugin.Reply{Program: plugin.Program{Command: "x"}, Args: []string{r.Task}}, nil
		}},
		"a refusal":       {`{"version":1}`, `"error":"no"`, func(plugin.Request) (plugin.Reply, error) { return plugin.Reply{}, errors.New("no") }},
		"a later version": {`{"version":2}`, `not 2"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := plugin.Serve(strings.NewReader(tc.request), &out, tc.answer); err != nil || !strings.Contains(out.String(), tc.want) {
				t.Errorf("%v %s", err, out.String())
			}
			if _, err := plugin.Decode(out.Bytes()); err != nil {
				t.Errorf("its own reply: %v", err)
			}
		})
	}
	if err := plugin.Serve(strings.NewReader("garbage"), &bytes.Buffer{}, nil); err == nil {
		t.Error("garbage is served")
	}
}
