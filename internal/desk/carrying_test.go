package desk_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/desk"
)

func TestAResumeBringsBackWhatIsNeitherFiledNorRevoked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.jsonl")
	d := open(t, path, &table{})
	for key, scope := range map[string]ask.Scope{"run.example": ask.Run, "gone.example": ask.Run, "filed.example": ask.Always, "unfiled.example": ask.Always} {
		p, err := d.Submit(question(key), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decide(approve(p, scope)); err != nil {
			t.Fatal(err)
		}
		if key == "filed.example" {
			if err := d.Filed(p.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Revoke(func(kind ask.Kind, candidate json.RawMessage) bool {
		return kind == ask.Route && strings.Contains(string(candidate), "gone.example")
	}); err != nil {
		t.Fatal(err)
	}
	if p, ok := d.Latest(question("gone.example")); !ok || !p.Revoked {
		t.Errorf("what was taken back is %+v", p)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"host":"run.example"}`, `{"host":"unfiled.example"}`}
	all, err := desk.Read(path, "api-abcde")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range desk.Carried(all) {
		said = append(said, string(p.Answer.Candidate))
	}
	if slices.Sort(said); !slices.Equal(said, want) {
		t.Errorf("a resume is said to carry %q", said)
	}
	kind := &table{}
	d = open(t, path, kind)
	if slices.Sort(kind.applied); !slices.Equal(kind.applied, want) {
		t.Errorf("the resume brings back %q", kind.applied)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
