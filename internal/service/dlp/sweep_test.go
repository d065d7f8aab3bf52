package dlp_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestSweep looks at the files below the directories that BOT_BOTTLE_DLP_SWEEP names, separated by
// colons, else at some of our own, and fails for what it takes for secrets: what a machine has lying
// about is traffic too.
func TestSweep(t *testing.T) {
	roots := os.Getenv("BOT_BOTTLE_DLP_SWEEP")
	if roots == "" {
		roots = "../../../docs:../../policy:../../planner"
	}
	const most = 2 << 20
	e := dlp.New([]dlp.Known{{Name: "OWN", Value: secret.New("an-own-secret-that-is-not-there-4711")}})
	e.Warm()
	files, alarms, bytes := 0, 0, 0
	var spent time.Duration
	for _, root := range filepath.SplitList(roots) {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			raw, err := os.ReadFile(path)
			if err != nil || len(raw) == 0 {
				return nil
			}
			raw = raw[:min(len(raw), most)]
			began := cpu()
			s := e.Stream("body", all())
			s.Write(raw)
			found := s.Close()
			took := cpu() - began
			files, bytes, spent = files+1, bytes+len(raw), spent+took
			if len(found) > 0 {
				alarms++
				t.Errorf("%s: %v", path, found[:min(len(found), 3)])
			}
			if rate := float64(len(raw)) / took.Seconds() / 1e6; len(raw) > 20_000 && rate < 3 {
				t.Logf("slow: %s: %d bytes, %.1f MB/s", path, len(raw), rate)
			}
			return nil
		})
	}
	t.Logf("%d files, %d alarms, %.1f MB at %.1f MB/cpu-s below %s", files, alarms, float64(bytes)/1e6, float64(bytes)/spent.Seconds()/1e6, strings.ReplaceAll(roots, ":", " and "))
}
