package harness_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/provider/harness"
)

func program(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

var tool = provider.Binary{Command: "tool", NPM: "@acme/tool"}

func TestFindBindsABinaryUnderANeutralName(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "share", "versions", "1.2")
	program(t, real, "\x7fELF")
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, filepath.Join(bin, "tool")); err != nil {
		t.Fatal(err)
	}
	got, err := harness.Find(tool, "relative:"+bin, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := harness.Program{HostPath: real, Args: []string{"/bottle/bin/tool"},
		Mounts: []plan.Mount{{HostPath: real, Path: "/bottle/bin/tool"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFindBringsTheModulesOfAScriptAndItsNode(t *testing.T) {
	dir := t.TempDir()
	program(t, filepath.Join(dir, "lib", "node_modules", "@acme", "tool", "cli.js"), "#!/usr/bin/env -S node\n")
	bin := filepath.Join(dir, "bin")
	program(t, filepath.Join(bin, "node"), "\x7fELF")
	if err := os.Symlink("../lib/node_modules/@acme/tool/cli.js", filepath.Join(bin, "tool")); err != nil {
		t.Fatal(err)
	}
	got, err := harness.Find(tool, bin, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/bottle/bin/node", "/bottle/node_modules/@acme/tool/cli.js"}, got.Args); d != "" {
		t.Error(d)
	}
	if len(got.Mounts) != 2 || got.Mounts[0].HostPath != filepath.Join(dir, "lib", "node_modules") {
		t.Errorf("mounts %+v", got.Mounts)
	}
}

func TestFindFallsBackToTheCacheAndThenSaysMissing(t *testing.T) {
	cache := t.TempDir()
	if _, err := harness.Find(tool, t.TempDir(), cache); !errors.Is(err, harness.ErrMissing) {
		t.Errorf("got %v", err)
	}
	program(t, filepath.Join(cache, "npm", "acme-tool", "node_modules", ".bin", "tool"), "\x7fELF")
	if _, err := harness.Find(tool, t.TempDir(), cache); err != nil {
		t.Error(err)
	}
}

func TestInstallKeepsTheOldOneWhenNpmFails(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	old := filepath.Join(cache, "npm", "acme-tool", "node_modules", ".bin", "tool")
	program(t, old, "old")
	program(t, filepath.Join(bin, "npm"), "#!/bin/sh\necho 'E404 no such package' >&2\nexit 1\n")
	err := harness.Install(t.Context(), tool, bin, cache, &discard{})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
	if fault.HintOf(err) == "" {
		t.Error("no hint")
	}
	if raw, err := os.ReadFile(old); err != nil || string(raw) != "old" {
		t.Errorf("the old install is gone: %v", err)
	}
	program(t, filepath.Join(bin, "npm"), "#!/bin/sh\nmkdir -p $3/node_modules/.bin && echo new > $3/node_modules/.bin/tool && chmod 755 $3/node_modules/.bin/tool\n")
	if err := harness.Install(t.Context(), tool, bin+":/usr/bin:/bin", cache, &discard{}); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(old); err != nil || string(raw) != "new\n" {
		t.Errorf("not replaced: %q %v", raw, err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "npm", ".install-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
