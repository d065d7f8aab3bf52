//go:build linux

package gitgate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // git's own name for an object
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// signature is what the gate signs with, and for whom.
type signature struct {
	signer ssh.Signer
	who    string // "NAME <EMAIL>", as git writes it into objects
}

// signNamespace is what keeps a signature over an object of git from being one over anything else
// (PROTOCOL.sshsig of OpenSSH, gitformat-signature(5)).
const signNamespace = "git"

// maxSigned bounds a commit or a tag that is signed.
const maxSigned = 1 << 20

func newSignature(name, email string, key secret.String) (*signature, error) {
	signer, err := ssh.ParsePrivateKey([]byte(key.Reveal() + "\n"))
	if err != nil {
		return nil, errors.New("cannot sign: the key is no private key that can be read")
	}
	name, email = crudless(name), crudless(email)
	if name == "" || email == "" {
		return nil, errors.New("cannot sign: there is no name and address to sign for")
	}
	return &signature{signer, name + " <" + email + ">"}, nil
}

// crudless is what git makes of a name or an address before it writes it (ident.c).
func crudless(s string) string {
	s = strings.TrimFunc(s, func(c rune) bool { return c <= ' ' || strings.ContainsRune(`.,:;<>"\'`, c) })
	return strings.NewReplacer("\n", "", "<", "", ">", "").Replace(s)
}

// sign answers with a signature over the commit or the tag that is the request's body, where it is
// one of the bottle's own identity. Nothing else is ever signed.
func (s *Server) sign(w http.ResponseWriter, rq *http.Request) {
	switch {
	case s.signature == nil:
		s.refuse(w, rq, "sign", http.StatusNotFound, "nothing is signed here: the bottle has no git-gate.sign")
		return
	case rq.Method != http.MethodPost:
		s.refuse(w, rq, "sign", http.StatusMethodNotAllowed, "what is to be signed is sent with POST")
		return
	}
	payload, err := io.ReadAll(io.LimitReader(rq.Body, maxSigned+1))
	if err == nil && len(payload) > maxSigned {
		err = fmt.Errorf("it has more than %d bytes", maxSigned)
	}
	kind := ""
	if err == nil {
		kind, err = signable(payload, s.signature.who)
	}
	if err != nil {
		s.refuse(w, rq, "sign", http.StatusForbidden, "this is not signed: "+words(err)+". The gate signs commits and tags of "+s.signature.who+
			"; git's --no-gpg-sign (for a tag --no-sign) makes one without a signature")
		return
	}
	armored, err := s.signature.over(payload)
	if err != nil {
		s.refuse(w, rq, "sign", http.StatusInternalServerError, words(err))
		return
	}
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(payload), payload)) //nolint:gosec // as above
	s.note(audit.Event{
		Verdict: "allow", Method: rq.Method, Path: shown(rq.URL.Path), Rule: "sign", Status: http.StatusOK,
		Message: "signed: the " + kind + " that without its signature is " + hex.EncodeToString(sum[:]),
	})
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	_, _ = io.WriteString(w, armored)
}

// over makes an armored signature (PROTOCOL.sshsig).
func (s *signature) over(payload []byte) (string, error) {
	const preamble, hash = "SSHSIG", "sha512"
	sum := sha512.Sum512(payload)
	signed := append([]byte(preamble), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{signNamespace, "", hash, sum[:]})...)
	var sig *ssh.Signature
	var err error
	if rsa, ok := s.signer.(ssh.AlgorithmSigner); ok && s.signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		sig, err = rsa.SignWithAlgorithm(rand.Reader, signed, ssh.KeyAlgoRSASHA512)
	} else {
		sig, err = s.signer.Sign(rand.Reader, signed)
	}
	if err != nil {
		return "", errors.New("cannot sign with the key")
	}
	blob := append([]byte(preamble), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, s.signer.PublicKey().Marshal(), signNamespace, "", hash, ssh.Marshal(sig)})...)
	var out strings.Builder
	out.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for text := base64.StdEncoding.EncodeToString(blob); text != ""; {
		line := text[:min(70, len(text))]
		text = text[len(line):]
		out.WriteString(line + "\n")
	}
	out.WriteString("-----END SSH SIGNATURE-----\n")
	return out.String(), nil
}

// signable tells the kind of an object that may be signed: a commit or a tag in exactly the form
// that git writes, all of whose people are who. A signature is a statement of the key's holder, so
// what could be read as anything else, or as somebody else's, is none.
func signable(payload []byte, who string) (kind string, err error) {
	head, _, ok := bytes.Cut(payload, []byte("\n\n"))
	if !ok || bytes.IndexByte(payload, 0) >= 0 {
		return "", errors.New("it is neither a commit nor a tag")
	}
	h := &header{lines: strings.Split(string(head), "\n")}
	switch {
	case h.next("tree ", isOID):
		return "commit", h.commit(who)
	case h.next("object ", isOID):
		return "tag", h.tag(who)
	}
	return "", errors.New("it is neither a commit nor a tag")
}

// header is what is left of an object's header.
type header struct{ lines []string }

// next takes the next line, where it has the prefix and what follows is right.
func (h *header) next(prefix string, right func(string) bool) bool {
	if len(h.lines) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(h.lines[0], prefix)
	if !ok || !right(rest) {
		return false
	}
	h.lines = h.lines[1:]
	return true
}

func (h *header) commit(who string) error {
	for h.next("parent ", isOID) {
	}
	for _, role := range []string{"author", "committer"} {
		if !h.next(role+" ", by(who)) {
			return fmt.Errorf("its %s is somebody else", role)
		}
	}
	h.next("encoding ", func(name string) bool { return name != "" && len(name) < 64 })
	for h.next("mergetag object ", isOID) { // of a signed tag that is merged
		for h.next(" ", func(string) bool { return true }) {
		}
	}
	return h.end("commit")
}

func (h *header) tag(who string) error {
	kind := func(s string) bool { return s == "commit" || s == "tag" || s == "tree" || s == "blob" }
	name := func(s string) bool { return oddRef("refs/tags/"+s) == "" }
	switch {
	case !h.next("type ", kind) || !h.next("tag ", name):
		return errors.New("it is no tag as git writes one, or has a name that the gate does not let through")
	case !h.next("tagger ", by(who)):
		return errors.New("its tagger is somebody else")
	}
	return h.end("tag")
}

func (h *header) end(kind string) error {
	if len(h.lines) > 0 {
		return fmt.Errorf("its header has a line that no %s of git's has there", kind)
	}
	return nil
}

// by matches "NAME <EMAIL> SECONDS ZONE" of one person.
func by(who string) func(string) bool {
	return func(line string) bool {
		when, ok := strings.CutPrefix(line, who+" ")
		seconds, zone, cut := strings.Cut(when, " ")
		return ok && cut && isDigits(seconds) && len(seconds) <= 12 && len(zone) == 5 && (zone[0] == '+' || zone[0] == '-') && isDigits(zone[1:])
	}
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
