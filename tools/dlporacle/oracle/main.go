// Command oracle asks gitleaks, as a library, what the engine of internal/service/dlp is held
// against: the examples of its own rules, and how fast it is.
//
//	oracle examples FILE   write one JSON object {"rule", "text"} a line
//	oracle speed FILE      scan the file again and again for a second, print bytes per second of a core
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/zricethezav/gitleaks/v8/detect"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: oracle examples|speed FILE")
		os.Exit(2)
	}
	do := map[string]func(string) error{"examples": examples, "speed": speed}[os.Args[1]]
	if do == nil {
		fmt.Fprintln(os.Stderr, "oracle: no such command:", os.Args[1])
		os.Exit(2)
	}
	if err := do(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

// noted stands in for gitleaks' own validation, which gets each rule with what it must find.
const noted = `package utils

import (
	"encoding/json"
	"os"

	"github.com/zricethezav/gitleaks/v8/config"
)

func Validate(rule config.Rule, truePositives []string, _ []string) *config.Rule {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, text := range truePositives {
		_ = out.Encode(map[string]string{"rule": rule.RuleID, "text": text})
	}
	return &rule
}

func ValidateWithPaths(rule config.Rule, _ map[string]string, _ map[string]string) *config.Rule {
	return &rule
}
`

// examples builds gitleaks' generator of its rule file with that, and keeps what it notes.
func examples(path string) error {
	raw, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/zricethezav/gitleaks/v8").Output()
	if err != nil {
		return fmt.Errorf("cannot find gitleaks' sources: %w", err)
	}
	scratch, err := os.MkdirTemp("", "oracle")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	sources := filepath.Join(scratch, "gitleaks")
	if err := os.CopyFS(sources, os.DirFS(strings.TrimSpace(string(raw)))); err != nil {
		return fmt.Errorf("cannot copy gitleaks' sources: %w", err)
	}
	validate := filepath.Join(sources, "cmd", "generate", "config", "utils", "validate.go")
	if err := errors.Join(os.Remove(validate), os.WriteFile(validate, []byte(noted), 0o600)); err != nil {
		return err
	}
	binary := filepath.Join(scratch, "generate")
	build := exec.Command("go", "build", "-o", binary, "./cmd/generate/config")
	build.Dir, build.Stderr = sources, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("cannot build gitleaks' generator: %w", err)
	}
	out, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	generate := exec.Command(binary, os.DevNull)
	generate.Dir, generate.Stdout, generate.Stderr = filepath.Join(sources, "cmd", "generate", "config"), out, os.Stderr
	if err := generate.Run(); err != nil {
		return fmt.Errorf("cannot run gitleaks' generator: %w", err)
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// speed scans in pieces of 100 KB, at which the library is fastest.
func speed(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return err
	}
	const piece = 100_000
	scanned, began := 0, cpu()
	for cpu()-began < time.Second {
		for p := text; len(p) > 0 && cpu()-began < time.Second; p = p[min(len(p), piece):] {
			d.DetectBytes(p[:min(len(p), piece)])
			scanned += min(len(p), piece)
		}
	}
	_, err = fmt.Printf("%.0f\n", float64(scanned)/(cpu()-began).Seconds())
	return err
}

// cpu is what this process has used of any core.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
