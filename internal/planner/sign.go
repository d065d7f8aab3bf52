package planner

import (
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// maxSignKey bounds a private key's file.
const maxSignKey = 64 << 10

// sign finds the key that commits are signed with, and takes its public half along: git in the
// bottle names it, and the preflight shows it. The private half is read again by who needs it.
func (m *maker) sign() {
	g := &m.out.Plan.Git
	g.Trailer = m.bottle.Git.Trailer
	if m.bottle.Git.Sign == "" {
		return
	}
	g.Sign = &plan.GitSign{Key: m.keyFile("git-gate.sign", m.bottle.Git.Sign)}
	if g.Name == "" || g.Email == "" {
		m.problem(fault.Invalid, "add git-gate.user: {name: …, email: …} to the bottle or the agent",
			"git-gate.sign: nothing is signed without a name and an address, which are all that the key stands for")
	}
	if info, err := os.Stat(g.Sign.Key); err != nil || !info.Mode().IsRegular() {
		return // keyFile has said so; a pipe would never end
	}
	file, err := os.Open(g.Sign.Key)
	if err != nil {
		m.problem(fault.Invalid, "chown or chmod it, so that you can read it", "git-gate.sign.key: cannot be read: %v", err)
		return
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSignKey))
	defer clear(text)
	if err != nil {
		m.problem(fault.Invalid, "", "git-gate.sign.key: cannot be read: %v", err)
		return
	}
	signer, err := ssh.ParsePrivateKey(append(text, '\n'))
	if err != nil {
		m.problem(fault.Invalid, "make one with ssh-keygen -t ed25519 -N '' -f FILE", "git-gate.sign.key: %s is no private key that can be used: %v", g.Sign.Key, err)
		return
	}
	g.Sign.Public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}
