package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/provider/claude"
	"github.com/bot-bottle/bot-bottle/internal/standin"
)

// signScript commits, tags and pushes as always, then tries to have signed what must not be. %[2]s
// and %[3]s are two halves of a line of the private key.
const signScript = `cd ~
git clone -q %[1]s app && cd app
echo one > one && git add one && git commit -qm one; echo "committed: $?"
git commit -q --amend -m "one, better"; echo "amended: $?"
git tag -m tagged v1; echo "tagged: $?"
git push -q origin HEAD:main v1; echo "pushed: $?"
git log -1 --format=%%B
git commit -q --allow-empty --author 'Eve <eve@example.org>' -m hers; echo "another author: $?"
git -c user.email=eve@example.org commit -q --allow-empty -m hers; echo "another committer: $?"
echo anything > /tmp/f; git config gpg.ssh.program > /tmp/program
$(cat /tmp/program) -Y sign -n git -f x /tmp/f; echo "bytes: $?"
$(cat /tmp/program) -Y sign -n file -f x /tmp/f; echo "namespace: $?"
git commit -q --allow-empty --no-gpg-sign --no-verify -m unsigned; echo "unsigned: $?"
git -c core.hooksPath=/dev/null commit -q --allow-empty -m bare && git push -q origin HEAD:main; echo "bare: $?"
echo "%[2]s""%[3]s" > /tmp/control
echo "key in: $(grep -rlsF -e "%[2]s""%[3]s" /home /tmp /run /etc /.bot-bottle /proc/[0-9]*/environ | tr '\n' ' ')"
exit 0
`

// signingBottle writes a key and the part of a bottle that signs with it.
func signingBottle(t *testing.T, w *world, up *gatetest.Upstream) (settings, script, signers string) {
	t.Helper()
	key, err := os.ReadFile(up.Key) // any will do
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "signing")
	w.file(path, string(key), 0o600)
	line := strings.Split(string(key), "\n")[2]
	signers = filepath.Join(w.dir, "signers")
	w.file(signers, "bot@example.org namespaces=\"git\" "+up.PublicKey()+"\n", 0o600)
	settings = strings.Replace(gitBottle(up, "supervise: false\n"), "git-gate:\n", "git-gate:\n  sign: {key: "+path+"}\n  trailer: 'Assisted-by: bot-bottle'\n", 1)
	settings = strings.Replace(settings, "refs: [main]", "refs: [main, refs/tags/v*]", 1)
	return settings, fmt.Sprintf(signScript, up.URL("app"), line[:30], line[30:]), signers
}

func TestCommitsAreSignedByTheGate(t *testing.T) {
	needNative(t)
	up := gatetest.New(t)
	up.Repository("app")
	w := newWorld(t, standin.Config{Hosts: map[string]http.Handler{claude.Host: standin.NewAnthropic()}})
	settings, script, signers := signingBottle(t, w, up)
	w.bottle(settings, claude.Host)
	w.agent(script)
	signs(t, w, up, signers)
}

func TestCommitsAreSignedByTheGateInAContainer(t *testing.T) {
	up := gatetest.New(t)
	up.Repository("app")
	w := containerWorld(t, "")
	settings, script, signers := signingBottle(t, w, up)
	image := filepath.Join(w.dir, "image")
	w.file(filepath.Join(image, "claude"), "#!/bin/bash\n"+script, 0o755)
	w.bottle(settings+"agent_provider: {template: claude, dockerfile: "+filepath.Join(image, "Dockerfile")+"}\n", claude.Host)
	signs(t, w, up, signers)
}

func signs(t *testing.T, w *world, up *gatetest.Upstream, signers string) {
	t.Helper()
	r := w.headless("work")
	for _, want := range []string{
		"committed: 0\n", "amended: 0\n", "tagged: 0\n", "pushed: 0\n", "one, better\n\nAssisted-by: bot-bottle\n",
		"another author: 128\n", "another committer: 128\n", "bytes: 1\n", "namespace: 1\n", "unsigned: 0\n", "bare: 1\n", "key in: /tmp/control \n",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in stdout:\n%s\nstderr:\n%s", want, r.out, r.err)
		}
	}
	for _, want := range []string{"its author is somebody else", "it is neither a commit nor a tag", "only what git makes is signed here", "a commit lacks the trailer"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in stderr:\n%s", want, r.err)
		}
	}
	if r.code != 0 {
		t.Fatalf("exit %d", r.code)
	}
	checked := []string{"-c", "gpg.ssh.allowedSignersFile=" + signers}
	gatetest.Git(t, up.Bare("app"), append(checked, "verify-commit", "main")...)
	gatetest.Git(t, up.Bare("app"), append(checked, "verify-tag", "v1")...)
}
