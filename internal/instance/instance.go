// Package instance names one run of an agent.
//
// Its one rule: an ID that exists has been checked, so it is safe in paths, labels and hosts.
package instance

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
)

// ID is the identity of a run: the agent's name, a dash, and five base36 characters.
type ID string

var (
	name  = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	ident = regexp.MustCompile(`^[a-z][a-z0-9-]*-[0-9a-z]{5}$`)
)

// maxName keeps an identity below the 63 bytes of a DNS label and a container name.
const maxName = 48

// ValidName reports whether s can name an agent, a bottle or a provider.
func ValidName(s string) bool { return len(s) <= maxName && name.MatchString(s) }

// New makes a fresh identity for an agent whose name is valid.
func New(agent string) ID {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	suffix := make([]byte, 5)
	for i := range suffix {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(digits))))
		if err != nil { // crypto/rand does not fail on a supported system
			panic(err)
		}
		suffix[i] = digits[n.Int64()]
	}
	return ID(agent + "-" + string(suffix))
}

// Parse checks an identity that came from outside.
func Parse(s string) (ID, error) {
	if len(s) > maxName+6 || !ident.MatchString(s) {
		return "", fmt.Errorf("%q is not an identity: want <agent>-<5 characters of 0-9a-z>", s)
	}
	return ID(s), nil
}

// Agent is the name of the agent whose run it is.
func (i ID) Agent() string { return string(i[:max(0, len(i)-6)]) }
