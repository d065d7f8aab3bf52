package sidecar

import (
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// refusedName says why a name below a wildcard is not resolved or connected to, or "": its labels
// hold a secret. Nobody is asked: a name is no value that somebody needs to send.
func (i *inspectors) refusedName(route *policy.Route, host string, port uint16) string {
	labels := wildLabels(route.Host, host)
	if labels == "" || route.DLP.OutboundOff {
		return ""
	}
	use := detectors(route.DLP)
	use.Allow = func(f dlp.Finding) bool {
		for _, a := range route.DLP.Allow {
			if !certain(f) && a.Path == "" && a.Holds(f.Rule, f.Fingerprint, "") {
				return true
			}
		}
		return i.approved.has(approval{host, f.Rule, f.Fingerprint})
	}
	found := i.engine.Load().Labels(labels, use)
	if len(found) == 0 {
		return ""
	}
	head := &egress.Head{Host: route.Host, Port: port}
	for _, f := range found {
		if f.Rule == "canary" {
			i.alarms.alarm(head, "the canary was sent in "+f.Place, f)
		}
	}
	return "the labels below " + route.Host[2:] + " hold what looks like a secret (" + dlp.Names(found) + ")"
}

// refused asks about a name that is to be resolved. It is written down as the route's.
func (p *process) refused(name string) (shown, reason string) {
	proxy := p.egress.Load()
	if proxy == nil {
		return "", "the sidecar is not ready"
	}
	route := proxy.Rules().NameRoute(name)
	if route == nil {
		return "", ""
	}
	return route.Host, p.inspectors.refusedName(route, name, 53)
}
