// Package need says what a test needs of the machine it runs on.
//
// Its one rule: what is missing skips the test with the reason, and fails it where
// BOT_BOTTLE_TEST_REQUIRE names the need; so a machine that should have it never passes by
// skipping.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names of the needs, as BOT_BOTTLE_TEST_REQUIRE lists them, separated by commas.
const (
	Native = "native" // user namespaces and what else the native backend wants
	Docker = "docker" // a container engine
	Root   = "root"   // to be root, who can become another user
	Agents = "agents" // the providers' programs, installed by scripts/setup
	Oracle = "oracle" // gitleaks as a library, and the examples of its rules, made by scripts/setup
	SSHD   = "sshd"   // OpenSSH's server, and git
	Tmux   = "tmux"   // a terminal that tests can drive
	H2     = "h2"     // h2spec and the clients of nghttp2
	Runsc  = "runsc"  // gVisor's runtime, built by scripts/setup, for an engine to have

	Podman = "podman" // Podman, for an engine beside Docker's; only make podman asks for it

	// Registry is that Debian's and npm's packages can be had, as this machine is configured.
	Registry = "registry"

	Clients = "clients" // the programs that must simply work in a bottle, such as npm, pip and psql
)

// Require goes on when missing is nil. Otherwise it skips the test, or fails it where the need is
// required; missing says what the machine lacks.
func Require(t testing.TB, name string, missing error) {
	t.Helper()
	if missing == nil {
		return
	}
	if required(name) {
		t.Fatalf("%s is required here: %v", name, missing)
		return
	}
	t.Skipf("Require %s: %v", name, missing)
}

func required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("BOT_BOTTLE_TEST_REQUIRE"), ","), name)
}

// Agent returns the real path of a provider's program, such as "claude": where scripts/setup
// installed it, else from PATH.
func Agent(t testing.TB, program string) string {
	t.Helper()
	path, err := find(program)
	Require(t, Agents, err)
	return path
}

func find(program string) (string, error) {
	directory, err := npmDirectory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "node_modules", ".bin", program)
	if _, err := os.Stat(path); err != nil {
		path, err = exec.LookPath(program)
		if err != nil {
			return "", fmt.Errorf("%s is not in %s and not in PATH; run scripts/setup test", program, directory)
		}
	}
	return filepath.EvalSymlinks(path)
}

// NPMPackage is the directory of a package that scripts/setup installed.
func NPMPackage(name string) (string, error) {
	directory, err := npmDirectory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "node_modules", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the npm package %s is not in %s; run scripts/setup test", name, directory)
	}
	return path, nil
}

// npmDirectory is where scripts/setup installs npm packages.
func npmDirectory() (string, error) {
	if directory := os.Getenv("BOT_BOTTLE_TEST_NPM"); directory != "" {
		return directory, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "bot-bottle-test", "npm"), nil
}

// RunscPath is where scripts/setup built gVisor's runtime.
func RunscPath() (string, error) {
	directory := os.Getenv("BOT_BOTTLE_TEST_RUNSC")
	if directory == "" {
		directory = "/var/cache/bot-bottle-test/runsc" // only root can start an engine that has it
	}
	path := filepath.Join(directory, "runsc")
	if _, err := os.Stat(path); err != nil { //nolint:gosec // the tester names it
		return "", fmt.Errorf("there is no runsc in %s; run scripts/setup test", directory)
	}
	return path, nil
}

// OracleFile returns the path of what scripts/setup made of gitleaks: "oracle", the program, or
// "examples.jsonl".
func OracleFile(t testing.TB, name string) string {
	t.Helper()
	directory := os.Getenv("BOT_BOTTLE_TEST_ORACLE")
	if directory == "" {
		cache, err := os.UserCacheDir()
		Require(t, Oracle, err)
		directory = filepath.Join(cache, "bot-bottle-test", "oracle")
	}
	path := filepath.Join(directory, name)
	_, err := os.Stat(path) //nolint:gosec // the tester names it
	Require(t, Oracle, err)
	return path
}
