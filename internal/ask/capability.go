package ask

import (
	"fmt"
	"regexp"
	"strings"
)

// CapabilityChange is the candidate of a question of kind Capability: one of its two fields.
type CapabilityChange struct {
	Dockerfile string    `json:"dockerfile,omitempty"` // the whole text
	Packages   []Package `json:"packages,omitempty"`   // sorted, without repetition
}

// Package is a package of one of the managers that install for a user.
type Package struct {
	Manager string `json:"manager"` // "npm" | "pip"
	Name    string `json:"name"`
}

// Check refuses what could be anything but a Dockerfile or the names of packages: a name never is an
// option, a path or an address.
func (c CapabilityChange) Check() error {
	switch {
	case c.Dockerfile == "" && len(c.Packages) == 0:
		return fmt.Errorf("cannot change a capability: there is neither a Dockerfile nor a package")
	case c.Dockerfile != "" && len(c.Packages) > 0:
		return fmt.Errorf("cannot change a capability: there are a Dockerfile and packages")
	case strings.ContainsRune(c.Dockerfile, 0):
		return fmt.Errorf("cannot use the Dockerfile: it holds a NUL byte")
	case len(c.Packages) > 32:
		return fmt.Errorf("cannot install %d packages: 32 are allowed", len(c.Packages))
	}
	for _, p := range c.Packages {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Package) check() error {
	patterns := map[string]string{
		"npm": `(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(@[0-9A-Za-z][0-9A-Za-z.+-]*)?`,
		"pip": `[A-Za-z0-9][A-Za-z0-9._-]*(==[0-9A-Za-z][0-9A-Za-z.+!]*)?`,
	}
	pattern, ok := patterns[p.Manager]
	if !ok {
		return fmt.Errorf("cannot install with %q: want npm or pip", p.Manager)
	}
	if len(p.Name) > 128 || !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(p.Name) {
		return fmt.Errorf("cannot install %q with %s: it is not the name of a package", p.Name, p.Manager)
	}
	return nil
}
