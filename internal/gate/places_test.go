package gate_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/gate/gatetest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// TestASecretIsFoundWhereverItIs hides one in each place that a push has, and wants the push
// refused before the upstream is connected to for it.
func TestASecretIsFoundWhereverItIs(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"*", "refs/tags/*", "refs/notes/*"}}))
	base := w.clone()
	secret := token()
	for name, hide := range map[string]func(dir string) []string{
		"a file": func(dir string) []string {
			w.commit(dir, "f", "x = "+secret+"\n", "f")
			return nil
		},
		"a file that was deleted again": func(dir string) []string {
			w.commit(dir, "f", "x = "+secret+"\n", "f")
			gatetest.Git(t, dir, "rm", "-q", "f")
			gatetest.Git(t, dir, "commit", "-q", "-m", "gone")
			return nil
		},
		"a message": func(dir string) []string {
			w.commit(dir, "f", "x\n", "use "+secret)
			return nil
		},
		"an author": func(dir string) []string {
			w.commit(dir, "f", "x\n", "f")
			gatetest.Git(t, dir, "commit", "-q", "--amend", "--no-edit", "--author", secret+" <a@example.org>")
			return nil
		},
		"an address": func(dir string) []string {
			w.commit(dir, "f", "x\n", "f")
			gatetest.Git(t, dir, "commit", "-q", "--amend", "--no-edit", "--author", "A <"+secret+"@example.org>")
			return nil
		},
		"an annotated tag": func(dir string) []string {
			gatetest.Git(t, dir, "tag", "-a", "-m", "for "+secret, "v1")
			return []string{"v1"}
		},
		"a tag of a blob": func(dir string) []string {
			w.write(filepath.Join(dir, "loose"), secret, 0o600)
			gatetest.Git(t, dir, "tag", "v2", gatetest.Git(t, dir, "hash-object", "-w", "loose"))
			return []string{"v2"}
		},
		"a note": func(dir string) []string {
			gatetest.Git(t, dir, "notes", "add", "-m", secret)
			return []string{"refs/notes/commits"}
		},
		"a branch's name": func(dir string) []string {
			w.commit(dir, "f", "x\n", "f")
			return []string{"HEAD:refs/heads/" + secret}
		},
		"a file's name": func(dir string) []string {
			w.commit(dir, "d/"+secret+"/f", "x\n", "f")
			return nil
		},
		"a submodule's URL": func(dir string) []string {
			w.commit(dir, ".gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = https://x:"+secret+"@git.example.org/a.git\n", "f")
			return nil
		},
		"an LFS pointer": func(dir string) []string {
			w.commit(dir, "f", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("0", 64)+"\nsize 3\nx-"+secret+" 1\n", "f")
			return nil
		},
		"a binary file": func(dir string) []string {
			w.commit(dir, "f", "\x00\x01\x02\xff"+secret+"\x00\xfe", "f")
			return nil
		},
		"a large file": func(dir string) []string {
			w.commit(dir, "f", strings.Repeat("line of text\n", 200_000)+"key = "+secret+"\n"+strings.Repeat("line of text\n", 200_000), "f")
			return nil
		},
		"base64": func(dir string) []string {
			w.commit(dir, "f", base64.StdEncoding.EncodeToString([]byte("the key is "+secret+" use it")), "f")
			return nil
		},
		"hex": func(dir string) []string {
			w.commit(dir, "f", hex.EncodeToString([]byte(secret)), "f")
			return nil
		},
		"gzip": func(dir string) []string {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write([]byte("key = " + secret))
			_ = z.Close()
			w.commit(dir, "f.gz", b.String(), "f")
			return nil
		},
		"zip": func(dir string) []string {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			f, _ := z.Create("inner")
			_, _ = f.Write([]byte("key = " + secret))
			_ = z.Close()
			w.commit(dir, "f.zip", b.String(), "f")
			return nil
		},
		"a merge that nobody's side has": func(dir string) []string {
			gatetest.Git(t, dir, "checkout", "-q", "-b", "side")
			w.commit(dir, "side", "s\n", "side")
			gatetest.Git(t, dir, "checkout", "-q", "-")
			w.commit(dir, "f", "x\n", "f")
			gatetest.Git(t, dir, "merge", "-q", "--no-commit", "--no-ff", "side")
			w.write(filepath.Join(dir, "f"), secret, 0o600)
			gatetest.Git(t, dir, "commit", "-q", "-am", "merge")
			return nil
		},
		"a file written in two commits": func(dir string) []string {
			w.commit(dir, "f", "key = "+secret[:20], "one half")
			w.commit(dir, "f", "key = "+secret, "the other half")
			return nil
		},
		"messages that are each a part": func(dir string) []string {
			w.commit(dir, "f", "x\n", secret[:20])
			w.commit(dir, "g", "x\n", secret[20:])
			return nil
		},
		"a commit's own header": func(dir string) []string {
			w.commit(dir, "f", "x\n", "f")
			raw := gatetest.Git(t, dir, "cat-file", "commit", "HEAD")
			head, message, _ := strings.Cut(raw, "\n\n")
			w.write(filepath.Join(dir, ".git", "made"), head+"\nx-note "+secret+"\n\n"+message+"\n", 0o600)
			oid := gatetest.Git(t, dir, "hash-object", "-t", "commit", "-w", ".git/made")
			return []string{oid + ":refs/heads/made"}
		},
		"a signature": func(dir string) []string {
			w.commit(dir, "f", "x\n", "f")
			raw := gatetest.Git(t, dir, "cat-file", "commit", "HEAD")
			head, message, _ := strings.Cut(raw, "\n\n")
			w.write(filepath.Join(dir, ".git", "made"), head+"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n "+base64.StdEncoding.EncodeToString([]byte("xx"+secret))+"\n -----END PGP SIGNATURE-----\n\n"+message+"\n", 0o600)
			oid := gatetest.Git(t, dir, "hash-object", "-t", "commit", "-w", ".git/made")
			return []string{oid + ":refs/heads/made2"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "work")
			gatetest.Git(t, "", "clone", "-q", "--shared", base, dir)
			gatetest.Git(t, dir, "remote", "set-url", "origin", w.repo.URL)
			w.through(dir, w.url)
			refs := hide(dir)
			if refs == nil {
				refs = []string{own}
			}
			if out := w.refused(dir, "what looks like a secret", append([]string{"origin"}, refs...)...); strings.Contains(out[:strings.Index(out, "To http")], secret) {
				t.Errorf("the refusal repeats it:\n%s", out)
			}
		})
	}
}

// TestWhatTheUpstreamHasAlreadyIsNotHeld edits a file that holds something like a secret since long.
// git lists an object with one of its paths only, and puts a URL together from what is not one line.
func TestAPasswordInASubmodulesURLIsFoundInAnyForm(t *testing.T) {
	w := open(t, pushes(plan.GitPush{Refs: []string{"*"}}))
	base := w.clone()
	const secret = "plain" + "words" // no scanner knows it
	for name, text := range map[string]string{
		"under another name first": "[submodule \"a\"]\n\tpath = a\n\turl = https://x:" + secret + "@git.example.org/a.git\n",
		"in other case":            "[SubModule \"a\"]\n\tpath = a\n\turl = https://x:" + secret + "@git.example.org/a.git\n",
		"behind its section":       "[submodule \"b://a/\"] url = https://x:" + secret + "@git.example.org/a.git\n",
		"over two lines":           "[submodule \"a\"]\n\turl = https://x\\\n:" + secret + "@git.example.org/a.git\n",
		"in quotes":                "[submodule \"a\"]\n\turl = \"https:/\"/x:" + secret + "@git.example.org/a.git\n",
		"with a large comment":     "#" + strings.Repeat("x", 2<<20) + "\n[submodule \"a\"]\n\turl = https://x:" + secret + "@git.example.org/a.git\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "work")
			gatetest.Git(t, "", "clone", "-q", base, dir)
			gatetest.Git(t, dir, "config", "url."+w.url+"/app/.insteadOf", strings.TrimSuffix(w.repo.URL, ".git"))
			gatetest.Git(t, dir, "remote", "set-url", "origin", w.repo.URL)
			w.commit(dir, ".a.txt", text, "as another file, which is listed first")
			w.commit(dir, ".gitmodules", text, "as what it is")
			w.refused(dir, "password-in-url", "origin", "HEAD:refs/heads/modules")
		})
	}
}

func TestWhatTheUpstreamHasAlreadyIsNotHeld(t *testing.T) {
	w := open(t)
	w.commitUpstream("fixture", "key = '"+token()+"'\nold\n", "long ago")
	dir := w.clone()
	w.commit(dir, "fixture", "key = '"+token()+"'\nnew\n", "edit")
	gatetest.Git(t, dir, "push", "-q", "origin", own)
	w.commit(dir, "elsewhere", "key = '"+token()+"'\n", "copied")
	w.refused(dir, "file elsewhere", "origin", own)
}

func TestLFSPointersAreRefusedWithTheReason(t *testing.T) {
	w := open(t)
	dir := w.clone()
	w.commit(dir, "big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("ab", 32)+"\nsize 3\n", "f")
	w.refused(dir, "Git LFS objects do not pass", "origin", own)
	if _, err := os.Stat(filepath.Join(dir, "big.bin")); err != nil {
		t.Error(err)
	}
}
