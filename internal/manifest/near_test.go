package manifest

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"extends", "env", "egress", "workspace", "git-gate"}
	for written, want := range map[string]string{
		"extend": "extends", "evn": "env", "EGRESS": "egress", "egres": "egress", "gitgate": "git-gate", "git_gate": "git-gate",
		"work-space": "workspace", "zzz": "", "": "", "x": "",
	} {
		if got := nearest(written, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", written, got, want)
		}
	}
}
