package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Difference is what a change takes away and what it brings, in the order of the sets. A route
// that changed is in both.
type Difference struct{ Removed, Added []Route }

// Compare tells how one set becomes another.
func Compare(old, set Set) Difference {
	return Difference{Removed: missing(old.Routes, set.Routes), Added: missing(set.Routes, old.Routes)}
}

// missing are the routes of have that other lacks; of equal ones each counts.
func missing(have, other []Route) []Route {
	left := map[string]int{}
	for _, r := range other {
		left[spelled(r)]++
	}
	var out []Route
	for _, r := range have {
		if key := spelled(r); left[key] > 0 {
			left[key]--
		} else {
			out = append(out, r)
		}
	}
	return out
}

// Same reports whether two routes say the same.
func Same(a, b Route) bool { return spelled(a) == spelled(b) }

// spelled is a route to compare: nil and empty lists are the same.
func spelled(r Route) string {
	text, err := json.Marshal(r)
	if err != nil { // strings, numbers and prefixes always encode
		return fmt.Sprintf("%#v", r)
	}
	return string(text)
}

// CheckChange says why a running bottle's policy may not become another one, or nil. What is not
// a route stays as it was at the start. A provider's routes stay as they are, keep their hosts
// for themselves, and their credential goes nowhere else.
func CheckChange(old, set Set) error {
	before, after := old, set
	before.Routes, after.Routes = nil, nil
	if !reflect.DeepEqual(before, after) {
		return errors.New("only the routes of a running bottle change, not its log, upstream proxy, limits or answer to refusals")
	}
	changed := Compare(old, set)
	var problems []error
	for _, r := range changed.Removed {
		if r.Owner != "" {
			problems = append(problems, fmt.Errorf("the route %s belongs to the provider %s and stays as it is", r.Host, r.Owner))
		}
	}
	owned := map[string]string{} // credential to provider
	for _, r := range old.Routes {
		if r.Owner != "" && r.Auth != nil {
			owned[r.Auth.TokenRef] = r.Owner
		}
	}
	for _, r := range changed.Added {
		switch {
		case r.Owner != "":
			problems = append(problems, fmt.Errorf("the route %s cannot be the provider %s's: a provider brings its routes at the start", r.Host, r.Owner))
		case r.Auth != nil && owned[r.Auth.TokenRef] != "":
			problems = append(problems, fmt.Errorf("the route %s cannot use the credential of the provider %s", r.Host, owned[r.Auth.TokenRef]))
		}
		for _, o := range old.Routes {
			if o.Owner != "" && takesOver(r.Host, o.Host) {
				problems = append(problems, fmt.Errorf("the route %s would take %s over from the provider %s", r.Host, o.Host, o.Owner))
			}
		}
	}
	return errors.Join(problems...)
}

// takesOver reports whether a route for host would be asked where now the owned one is.
func takesOver(host, owned string) bool {
	suffix, wild := strings.CutPrefix(owned, "*")
	return host == owned || wild && strings.HasSuffix(host, suffix)
}
