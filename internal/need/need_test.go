package need

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// observer stands in for a test and notes how it ended.
type observer struct {
	testing.TB
	ended string
}

func (*observer) Helper() {}

func (o *observer) Fatalf(format string, args ...any) {
	o.ended = "failed: " + fmt.Sprintf(format, args...)
}

func (o *observer) Skipf(format string, args ...any) {
	o.ended = "skipped: " + fmt.Sprintf(format, args...)
}

func TestWhatIsMissing(t *testing.T) {
	missing := errors.New("no user namespaces")
	for _, row := range []struct {
		name, require string
		missing       error
		want          string
	}{
		{"nothing goes on", "native", nil, ""},
		{"a need skips", "", missing, "skipped: Require native: no user namespaces"},
		{"another requirement skips", "agents,natives", missing, "skipped: Require native: no user namespaces"},
		{"a required need fails", "agents,native", missing, "failed: native is required here: no user namespaces"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("BOT_BOTTLE_TEST_REQUIRE", row.require)
			o := &observer{TB: t}
			Require(o, Native, row.missing)
			if o.ended != row.want {
				t.Errorf("%q, want %q", o.ended, row.want)
			}
		})
	}
}

func TestAgentIsFoundBehindItsLinks(t *testing.T) {
	directory := t.TempDir()
	bin := filepath.Join(directory, "node_modules", ".bin")
	if err := os.MkdirAll(bin, 0o750); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(directory, "real")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "an-agent")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BOT_BOTTLE_TEST_NPM", directory)
	if got := Agent(t, "an-agent"); got != program {
		t.Errorf("found %s", got)
	}
	t.Setenv("BOT_BOTTLE_TEST_REQUIRE", Agents)
	o := &observer{TB: t}
	Agent(o, "no-such-agent")
	if !strings.Contains(o.ended, "scripts/setup test") {
		t.Errorf("ended %q", o.ended)
	}
}
