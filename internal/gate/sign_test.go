package gate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// signs makes a gate that signs for Bot with a key, whose public half it writes down.
func signs(t *testing.T, key any, public *string) option {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	*public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return func(c *gitgate.Config, d *gitgate.Deps) {
		c.Name, c.Email = "Bot Jr.", "bot@example.org"
		d.Sign = secret.New(string(pem.EncodeToMemory(block)))
	}
}

// signed asks the gate for a signature.
func (w *world) signed(method, payload string) (status int, text string) {
	w.t.Helper()
	rq, err := http.NewRequestWithContext(w.t.Context(), method, w.url+plan.GateSignPath, strings.NewReader(payload))
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(rq)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// verifies has the real ssh-keygen look at a signature in a namespace.
func verifies(t *testing.T, public, namespace, payload, signature string) error {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"signers": "bot@example.org " + public + "\n", "sig": signature} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "signers"), "-I", "bot@example.org", "-n", namespace, "-s", filepath.Join(dir, "sig"))
	cmd.Stdin = strings.NewReader(payload)
	return cmd.Run()
}

const (
	someTree   = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	byBot      = "Bot Jr <bot@example.org> 1700000000 +0000"
	someCommit = "tree " + someTree + "\nparent " + someTree + "\nauthor " + byBot + "\ncommitter " + byBot + "\n\nhello\n"
	someTag    = "object " + someTree + "\ntype tree\ntag v1\ntagger " + byBot + "\n\nhello\n"
)

func TestTheGateSignsWithEachKindOfKey(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
		t.Run(name, func(t *testing.T) {
			var public string
			w := open(t, signs(t, key, &public))
			for _, payload := range []string{someCommit, someTag} {
				status, signature := w.signed(http.MethodPost, payload)
				if status != http.StatusOK {
					t.Fatalf("%d %s", status, signature)
				}
				if err := verifies(t, public, "git", payload, signature); err != nil {
					t.Errorf("the signature over %q does not verify: %v", payload, err)
				}
				if verifies(t, public, "file", payload, signature) == nil || verifies(t, public, "git", payload+"x", signature) == nil {
					t.Error("the signature stands for more than it is over")
				}
			}
			if n := len(w.events); n != 2 || !strings.HasPrefix(w.events[1].Message, "signed: the tag that") {
				t.Errorf("the log has %+v", w.events)
			}
		})
	}
}

// TestWhatTheGateDoesNotSign asks for signatures over everything that could be taken for something
// else, or for somebody else's.
func TestWhatTheGateDoesNotSign(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var public string
	w := open(t, signs(t, key, &public))
	other := strings.Replace(byBot, "Bot Jr", "Eve", 1)
	for name, payload := range map[string]string{
		"nothing":                     "",
		"a login challenge":           "\x00\x00\x00\x20" + strings.Repeat("s", 32) + "\x32\x00\x00\x00\x04root",
		"bytes that are to be signed": "SSHSIG\x00\x00\x00\x04file",
		"a blob":                      "rm -rf /\n",
		"a tree":                      "40000 a\x00" + strings.Repeat("x", 20),
		"a push certificate":          "certificate version 0.1\npusher key 1700000000 +0000\nnonce x\n\n",
		"a commit without a message":  strings.TrimSuffix(someCommit, "\n\nhello\n"),
		"another author":              strings.Replace(someCommit, "author "+byBot, "author "+other, 1),
		"another committer":           strings.Replace(someCommit, "committer "+byBot, "committer "+other, 1),
		"another tagger":              strings.Replace(someTag, "tagger "+byBot, "tagger "+other, 1),
		"another address":             strings.ReplaceAll(someCommit, "bot@example.org", "eve@example.org"),
		"a longer name":               strings.ReplaceAll(someCommit, "Bot Jr", "Eve, for Bot Jr"),
		"a name behind":               strings.ReplaceAll(someCommit, "Bot Jr <", "Bot Jr <eve@example.org> <"),
		"no time":                     strings.ReplaceAll(someCommit, " 1700000000 +0000", ""),
		"words for a time":            strings.ReplaceAll(someCommit, "1700000000 +0000", "now"),
		"two authors":                 strings.Replace(someCommit, "author ", "author "+other+"\nauthor ", 1),
		"two committers":              strings.Replace(someCommit, "\n\n", "\ncommitter "+other+"\n\n", 1),
		"a header of its own":         strings.Replace(someCommit, "\n\n", "\nx-note hello\n\n", 1),
		"a signature in it":           strings.Replace(someCommit, "\n\n", "\ngpgsig -----BEGIN SSH SIGNATURE-----\n\n", 1),
		"a zero byte":                 someCommit + "\x00",
		"a short tree":                strings.Replace(someCommit, someTree, someTree[1:], 1),
		"a tag of no kind":            strings.Replace(someTag, "type tree", "type key", 1),
		"a tag's odd name":            strings.Replace(someTag, "tag v1", "tag ../v1", 1),
		"a tag that is also a commit": "object " + someTree + "\n" + someCommit,
		"a huge commit":               someCommit + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := w.signed(http.MethodPost, payload); status != http.StatusForbidden || !strings.Contains(text, "this is not signed") || strings.Contains(text, "SIGNATURE") {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, "SIGN"} {
		if status, text := w.signed(method, someCommit); status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %s", method, status, text)
		}
	}
	without := open(t)
	if status, text := without.signed(http.MethodPost, someCommit); status != http.StatusNotFound {
		t.Errorf("without a key: %d %s", status, text)
	}
}

// TestWhatGitMakesIsSigned has the real git make what is signed, with all its headers.
func TestWhatGitMakesIsSigned(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var public string
	w := open(t, signs(t, key, &public))
	dir := w.clone()
	program := filepath.Join(t.TempDir(), "keygen")
	w.write(program, "#!/bin/sh\nfor f; do :; done\ncurl -sSf --data-binary @\"$f\" "+w.url+plan.GateSignPath+" >\"$f.sig\"\n", 0o700)
	signers := filepath.Join(t.TempDir(), "signers")
	w.write(signers, "bot@example.org namespaces=\"git\" "+public+"\n", 0o600)
	settings := []string{
		"user.name=Bot Jr.", "user.email=bot@example.org", "gpg.format=ssh", "gpg.ssh.program=" + program, "user.signingKey=key::" + public, "commit.gpgSign=true", "tag.gpgSign=true",
	}
	git := func(args ...string) (string, error) {
		var all []string
		for _, s := range settings {
			all = append(all, "-c", s)
		}
		cmd := exec.CommandContext(t.Context(), "git", append(all, args...)...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{
		{"commit", "-q", "--allow-empty", "-m", "one"},
		{"commit", "-q", "--allow-empty", "--allow-empty-message", "-m", ""},
		{"-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", "two"},
		{"checkout", "-q", "-b", "side"},
		{"commit", "-q", "--allow-empty", "-m", "three"},
		{"tag", "-m", "a tag\n\nof two paragraphs", "v1"},
		{"checkout", "-q", "main"},
		{"commit", "-q", "--allow-empty", "-m", "four"},
		{"merge", "-q", "--no-ff", "-m", "merge", "v1"},
	} {
		if out, err := git(args...); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	if raw := gatetest.Git(t, dir, "cat-file", "commit", "HEAD"); !strings.Contains(raw, "\nmergetag ") {
		t.Errorf("the merge has no tag in it:\n%s", raw)
	}
	checked := []string{"-c", "gpg.ssh.allowedSignersFile=" + signers}
	for rev := range strings.FieldsSeq(gatetest.Git(t, dir, "rev-list", "origin/main..HEAD")) {
		gatetest.Git(t, dir, append(checked, "verify-commit", rev)...)
	}
	gatetest.Git(t, dir, append(checked, "verify-tag", "v1")...)
	if out, err := git("commit", "-q", "--allow-empty", "--author", "Eve <eve@example.org>", "-m", "hers"); err == nil {
		t.Errorf("a commit of somebody else's was signed:\n%s", out)
	}
}

func TestCommitsWithoutTheTrailerAreRefused(t *testing.T) {
	w := open(t, func(c *gitgate.Config, _ *gitgate.Deps) { c.Trailer = "Assisted-by: bot-bottle" })
	dir := w.clone()
	for name, message := range map[string]string{
		"none":           "work",
		"another value":  "work\n\nAssisted-by: somebody",
		"not at the end": "work\n\nAssisted-by: bot-bottle\n\nand more",
		"in the title":   "Assisted by: bot-bottle",
	} {
		t.Run(name, func(*testing.T) {
			gatetest.Git(t, dir, "reset", "-q", "--hard", "origin/main")
			w.commit(dir, "f", name, message)
			w.refused(dir, "lacks the trailer", "origin", own)
		})
	}
	gatetest.Git(t, dir, "reset", "-q", "--hard", "origin/main")
	w.commit(dir, "f", "x\n", "work\n\nassisted-by:  bot-bottle\nSigned-off-by: A <a@example.org>")
	w.commit(dir, "g", "x\n", "forgotten")
	w.refused(dir, "git commit --amend --no-edit --trailer", "origin", own)
	gatetest.Git(t, dir, "commit", "-q", "--amend", "--no-edit", "--trailer", "Assisted-by: bot-bottle")
	gatetest.Git(t, dir, "push", "-q", "origin", own)
	if n := strings.Count(gatetest.Git(t, w.up.Bare("app"), "log", "--format=%B", "bottle/dev-abc12/work"), "ssisted-by"); n != 2 {
		t.Errorf("the upstream has %d trailers", n)
	}
}
