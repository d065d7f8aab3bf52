package dlp_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestGitleaksExamples holds the engine against what gitleaks' library finds in the examples of its
// own rules: everything of it. They are made anew by scripts/setup, one JSON object {"rule", "text"} a line.
func TestGitleaksExamples(t *testing.T) {
	path := need.OracleFile(t, "examples.jsonl")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	e := dlp.New(nil)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	n, missed := 0, map[string]int{}
	for lines.Scan() {
		var example struct{ Rule, Text string }
		if err := json.Unmarshal(lines.Bytes(), &example); err != nil {
			t.Fatal(err)
		}
		n++
		if len(e.Scan([]byte(example.Text), "example", all())) == 0 {
			missed[example.Rule]++
			t.Logf("%s: %q", example.Rule, example.Text)
		}
	}
	if n < 5000 {
		t.Errorf("there are no more than %d examples", n)
	}
	if len(missed) > 0 {
		t.Errorf("of %d examples these are missed: %v", n, missed)
	}
}
