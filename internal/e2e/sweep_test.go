package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sweep is a command of the agent's: into two files of its workspace it writes what it finds of every
// process, and of every file that it may read. Both stay in the bottle; what they hold is not said.
const sweep = `cd ~/workspace; for p in /proc/[0-9]*; do for f in environ cmdline comm maps status mountinfo; do ` +
	`echo "== $p/$f"; tr '\0' '\n' < $p/$f; done; done > processes 2>/dev/null; ` +
	`tar -cf files.tar --ignore-failed-read --exclude=files.tar -C / home tmp run etc dev/shm var/tmp 2>/dev/null; echo swept`

// swept reads what a sweep left in the workspace's copy. Held are texts that must be among the files
// of the agent, running those that must be among its processes; secrets nowhere in any form.
func (w *world) swept(t *testing.T, id string, held, running, secrets []string) {
	t.Helper()
	dir := filepath.Join(w.home, "state", id, "home", "workspace")
	processes, err := os.ReadFile(filepath.Join(dir, "processes"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadFile(filepath.Join(dir, "files.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range running {
		if !bytes.Contains(processes, []byte(text)) {
			t.Errorf("the sweep saw no process with %q", text)
		}
	}
	for _, text := range slices.Concat(held, []string{"the project\n", "== /proc/"}) {
		if !bytes.Contains(files, []byte(text)) {
			t.Errorf("the sweep saw no file with %q", text)
		}
	}
	for _, secret := range secrets {
		for _, form := range formsOf(secret) {
			if bytes.Contains(processes, []byte(form)) {
				t.Errorf("a process of the bottle holds the real token (%d bytes of it)", len(form))
			}
			if bytes.Contains(files, []byte(form)) {
				t.Errorf("a file of the bottle holds the real token (%d bytes of it)", len(form))
			}
		}
	}
}

// formsOf are a secret, its halves' ends, and how files and variables carry one.
func formsOf(secret string) []string {
	forms := []string{secret, secret[len(secret)-32:], secret[len(secret)/2-16 : len(secret)/2+16], hex.EncodeToString([]byte(secret))}
	for offset := range 3 { // in base64 by each place that it may begin at
		coded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(" ", offset) + secret))
		forms = append(forms, coded[4:len(coded)-4])
	}
	return forms
}
