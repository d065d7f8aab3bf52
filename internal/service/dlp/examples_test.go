package dlp_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestGitleaksExamples holds the engine against the examples of gitleaks' own rules, one JSON
// object {"rule", "text"} a line: what gitleaks' cmd/generate/config passes to utils.Validate.
func TestGitleaksExamples(t *testing.T) {
	path := os.Getenv("BOT_BOTTLE_GITLEAKS_EXAMPLES")
	if path == "" {
		t.Skip("BOT_BOTTLE_GITLEAKS_EXAMPLES names no file")
	}
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
	if len(missed) > 0 {
		t.Errorf("of %d examples these are missed: %v", n, missed)
	}
}
