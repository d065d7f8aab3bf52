package bottle

import (
	"fmt"
	"strings"
)

// notNamed is why a value cannot stand for a name: the program would take it for an option, or for
// nothing. What it is says for which.
func notNamed(what, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("cannot use no %s: name one", what)
	case strings.HasPrefix(value, "-"):
		return fmt.Errorf("cannot use %q as %s: a name does not begin with -", value, what)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("cannot use %q as %s: it holds a NUL", value, what)
	}
	return nil
}

// check looks at what of the options goes to the program as a name.
func (o Options) check() error {
	if o.Agent == "" && o.From == "" {
		return notNamed("agent", "")
	}
	for _, v := range []struct{ what, value string }{
		{"agent", o.Agent}, {"backend", o.Backend}, {"bottle to start from", o.From},
	} {
		if v.value == "" {
			continue // the usual one
		}
		if err := notNamed(v.what, v.value); err != nil {
			return err
		}
	}
	for _, b := range o.Bottles {
		if err := notNamed("bottle", b); err != nil {
			return err
		}
	}
	return nil
}
