package gitgate

import (
	"errors"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"golang.org/x/crypto/ssh"
)

// keyProblem says what is wrong with a private key, without any of it.
func keyProblem(path string, err error) error {
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		return fault.WithHint(fault.New(fault.Invalid, "cannot use the key %s: it needs a passphrase, and nobody is asked", path),
			"make a deploy key without one: ssh-keygen -t ed25519 -N '' -f FILE")
	}
	return fault.WithHint(fault.New(fault.Invalid, "cannot use the key %s: it is no private key that can be read", path),
		"name the file of a private key of OpenSSH, such as ~/.ssh/id_ed25519")
}

// ParseKey checks that a private key can be used.
func ParseKey(path string, key secret.String) error {
	if _, err := ssh.ParsePrivateKey([]byte(key.Reveal() + "\n")); err != nil {
		return keyProblem(path, err)
	}
	return nil
}
