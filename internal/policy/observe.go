package policy

import "errors"

// Observed stands as the rule of a request that only an observing bottle let through.
const Observed = "(observed)"

// observed lets through, in a bottle that observes, what is refused for want of a route alone. What
// no route could allow stays refused, and so do the addresses that are checked after resolving.
func (r *Rules) observed(d Decision) Decision {
	if !r.set.Observe || d.Allow || !d.Approvable && !fetchRefused(d) {
		return d
	}
	route := &r.observer
	if d.Route != nil && d.Route.TLS != TLSPassthrough && d.Route.Protocol != ProtocolTCP {
		route = d.Route // it says how to reach the host
	}
	return Decision{Allow: true, Route: route, Would: &d}
}

func fetchRefused(d Decision) bool {
	return d.Layer == LayerGit && d.Route != nil && d.RuleMissing != gateMissing
}

// checkObserve refuses to observe with anything that an allowed request could misuse.
func checkObserve(set Set) error {
	if !set.Observe {
		return nil
	}
	if set.OnDeny == OnDenyAsk {
		return errors.New("cannot observe and ask: nothing is refused")
	}
	for i := range set.Routes {
		if set.Routes[i].Auth != nil {
			return errors.New("cannot observe with a credential: every destination is open")
		}
	}
	return nil
}
