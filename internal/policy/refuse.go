package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	stepAllowlist = "GET http://" + InternalHost + "/allowlist shows every route that is open"
	// StepAsk is for an agent that has nothing to ask with; who has gives it another step in its place.
	StepAsk = "tell the person you work for which route you need and why; it goes into the bottle's egress.routes"
)

func missingHost(host string, port uint16) Decision {
	if addr, err := netip.ParseAddr(host); err == nil {
		if why := AddressAllowed(addr, nil, nil); why != nil {
			return closedAddress(addr, why)
		}
	}
	return Decision{
		Layer:       LayerEgress,
		Reason:      "no route names this host",
		RuleMissing: fmt.Sprintf("host: %s, ports: [%d]", host, port),
		Guidance:    host + " is not on this bottle's allowlist. Do not retry, and do not look for another way out; there is none.",
		NextSteps:   []string{stepAllowlist, StepAsk},
		Approvable:  true,
	}
}

// closedAddress is the refusal of an address that is not public: nobody is asked whether it may
// be opened.
func closedAddress(addr netip.Addr, why error) Decision {
	return Decision{
		Layer:       LayerAddress,
		Reason:      why.Error(),
		RuleMissing: "none: an address like " + addr.String() + " is not opened on request",
		Guidance:    "This address is inside the operator's machine or network, or a cloud's metadata service. Do not retry; there is no way there.",
		NextSteps:   []string{stepAllowlist},
	}
}

func missingPort(route *Route, host string, port uint16) Decision {
	return Decision{
		Route:       route,
		Layer:       LayerEgress,
		Reason:      fmt.Sprintf("the route of %s does not open port %d", route.Host, port),
		RuleMissing: fmt.Sprintf("host: %s, ports: [%d]", host, port),
		Guidance:    fmt.Sprintf("%s is allowed, but not on port %d. Use one of ports %v.", host, port, portsOf(route)),
		NextSteps:   []string{stepAllowlist, StepAsk},
		Approvable:  true,
	}
}

func missingMatch(route *Route, q Request, why string) Decision {
	d := Decision{
		Route:       route,
		Layer:       LayerEgress,
		Reason:      fmt.Sprintf("no match of the route of %s holds: %s", route.Host, why),
		RuleMissing: fmt.Sprintf("host: %s, methods: [%s], paths: [{type: exact, value: %s}]", q.host, q.method, q.target.Path),
		Guidance:    fmt.Sprintf("%s is allowed for some requests only, and not for this one (%s).", q.host, why),
		NextSteps:   []string{stepAllowlist, StepAsk},
		Approvable:  true,
	}
	if strings.HasPrefix(why, "path with ") {
		d.Approvable = false
		d.Guidance = "The route limits paths, and servers disagree on what this path means. Write it plainly."
		d.NextSteps = []string{"send the path without " + q.target.ambiguous, stepAllowlist}
	}
	return d
}

// denyPlainTCP is for a request that names the port of a tcp route: the route carries connections.
func denyPlainTCP(route *Route, q Request) Decision {
	return Decision{
		Route:       route,
		Layer:       LayerProtocol,
		Reason:      fmt.Sprintf("port %d of %s is a tcp route, which carries connections and no requests", q.port, q.host),
		RuleMissing: "none: no route can allow it",
		Guidance:    fmt.Sprintf("Connect to %s:%d with the program that speaks its protocol, without an HTTP proxy.", q.host, q.port),
		NextSteps:   []string{"connect directly; proxy variables are not needed in this bottle"},
	}
}

func denyMethod(method string) Decision {
	return Decision{
		Layer:       LayerProtocol,
		Reason:      "the method " + method + " is refused on every host",
		RuleMissing: "none: no route can allow it",
		Guidance:    method + " would echo injected credentials or open a tunnel inside a tunnel.",
		NextSteps:   []string{"use another method"},
	}
}

// Malformed is the refusal of what has no canonical form; err says why.
func Malformed(err error) Decision {
	return Decision{
		Layer:       LayerProtocol,
		Reason:      err.Error(),
		RuleMissing: "none: no route can allow it",
		Guidance:    "The request has no single meaning, so it is refused before any rule is asked.",
		NextSteps:   []string{"send the host and the path in their plain spelling"},
	}
}

// WrongAddress is the refusal of a host for the addresses it resolves to; err says why.
func WrongAddress(route *Route, err error) Decision {
	return Decision{
		Route:       route,
		Layer:       LayerAddress,
		Reason:      err.Error(),
		RuleMissing: "allow_private on the route of " + route.Host,
		Guidance:    "The name is allowed, but it points to an address that is not public. This is never opened from inside a bottle.",
		NextSteps:   []string{"tell the operator, who may add the range to allow_private in the bottle's file"},
	}
}

// Step is one line of an explanation: a route that was asked, and what it said.
type Step struct {
	Route  string `json:"route"`
	Admits bool   `json:"admits"`
	Why    string `json:"why"`
}

// Explain tells how Decide comes to its verdict: one step for each route that covers the host,
// in the order they are asked; none where no route covers it.
func (r *Rules) Explain(q Request) (Decision, []Step) {
	var steps []Step
	for _, candidate := range r.lookup(q.host) {
		one := &Rules{exact: map[string][]*rule{q.host: {candidate}}}
		d := one.Decide(q)
		step := Step{Route: candidate.route.Host, Admits: d.Allow, Why: d.Reason}
		if d.Allow {
			step.Why = "every condition holds"
		}
		steps = append(steps, step)
	}
	return r.Decide(q), steps
}
