package bottle_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/bottle"
)

// witness is a program that leaves a file when it is run, and its file.
func witness(t *testing.T) (c bottle.Client, ran string) {
	t.Helper()
	dir := t.TempDir()
	program, ran := filepath.Join(dir, "bot-bottle"), filepath.Join(dir, "ran")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return bottle.Client{Program: program}, ran
}

func TestANameIsNeverAnOption(t *testing.T) {
	start := func(o bottle.Options) func(bottle.Client) error {
		return func(c bottle.Client) error {
			_, err := c.Start(t.Context(), o)
			return err
		}
	}
	for name, tc := range map[string]struct {
		try  func(bottle.Client) error
		want string
	}{
		"an agent":          {start(bottle.Options{Agent: "--backend=fake"}), `cannot use "--backend=fake" as agent`},
		"no agent":          {start(bottle.Options{Prompt: "x"}), "cannot use no agent"},
		"a NUL":             {start(bottle.Options{Agent: "a\x00b"}), "it holds a NUL"},
		"a backend":         {start(bottle.Options{Agent: "a", Backend: "-b"}), "as backend"},
		"from":              {start(bottle.Options{From: "-h"}), "as bottle to start from"},
		"a bottle":          {start(bottle.Options{Agent: "a", Bottles: []string{"b", "--yes"}}), `"--yes" as bottle`},
		"an empty bottle":   {start(bottle.Options{Agent: "a", Bottles: []string{""}}), "cannot use no bottle"},
		"remove":            {func(c bottle.Client) error { return c.Remove(t.Context(), "-h") }, `"-h" as identity`},
		"remove nothing":    {func(c bottle.Client) error { return c.Remove(t.Context(), "") }, "cannot use no identity"},
		"resume":            {func(c bottle.Client) error { _, err := c.Resume(t.Context(), "--help", "x"); return err }, `"--help" as identity`},
		"resume of nothing": {func(c bottle.Client) error { _, err := c.Resume(t.Context(), "", "x"); return err }, "cannot use no identity"},
	} {
		t.Run(name, func(t *testing.T) {
			c, ran := witness(t)
			if err := tc.try(c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the program was run: %v", err)
			}
		})
	}
	c, ran := witness(t)
	_ = c.Remove(t.Context(), "api-abcde")
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("a good name is refused: %v", err)
	}
}
