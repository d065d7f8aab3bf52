package native_test

import (
	"errors"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"os"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/native"
)

// A trial is spared only where one succeeded, and only for the program that made it.
func TestATrialIsRemembered(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	file := filepath.Join(cache, "native-works")
	program := filepath.Join(enterable(t), "program")
	script := func(code string) {
		t.Helper()
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+code+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := native.New(native.Config{Self: []string{program}, Root: t.TempDir(), Cache: cache})
	works := func() bool {
		t.Helper()
		caps, err := d.Remembered(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return caps.Works
	}
	script("echo refused; exit 1")
	if works() {
		t.Fatal("works, though the trial was refused")
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a refusal was remembered")
	}
	script("exit 0")
	if !works() {
		need.Require(t, need.Native, errors.New("this machine makes no namespaces"))
	}
	script("echo refused; exit 1 # another program")
	if works() {
		t.Error("another program profits from the trial")
	}
	if caps, err := d.Probe(t.Context()); err != nil || caps.Works {
		t.Errorf("Probe does not try: %v, %v", caps.Works, err)
	}
}

func TestARememberedTrialIsSpared(t *testing.T) {
	dir := enterable(t)
	program, mark := filepath.Join(dir, "program"), filepath.Join(dir, "home", "mark")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Dir(mark)
	d := native.New(native.Config{Self: []string{program}, Root: dir, Cache: cache})
	first, err := d.Remembered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !first.Works {
		need.Require(t, need.Native, errors.New("this machine makes no namespaces"))
	}
	file := filepath.Join(cache, "native-works")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.Remembered(t.Context())
	if err != nil || !second.Works || second.Isolation != first.Isolation {
		t.Fatalf("got %+v, %v", second, err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Error("it was tried again")
	}
}

// enterable is a directory that the user of a trial, who is another than root, can enter.
func enterable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
