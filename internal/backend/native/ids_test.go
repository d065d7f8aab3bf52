package native

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhoMayHandOutIDs(t *testing.T) {
	for text, want := range map[string]struct{ maps, outside bool }{
		"         0          0 4294967295\n":          {true, true},
		"         0       1001          1\n":          {false, false},
		"         0          0          1\n":          {false, true},
		"         0     100000      65536\n":          {false, false},
		"0 100000 1000\n1000 1879048192 2400000000\n": {true, false},
		"":         {false, true},
		"0 1001\n": {false, true},
	} {
		file := filepath.Join(t.TempDir(), "uid_map")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if maps, outside := mapsRange(file), rootOutside(file); maps != want.maps || outside != want.outside {
			t.Errorf("%q: maps %v, root outside %v", text, maps, outside)
		}
	}
	missing := filepath.Join(t.TempDir(), "none")
	if mapsRange(missing) || !rootOutside(missing) {
		t.Error("a map that cannot be read is taken for the best case")
	}
}
