package planner

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// egress joins the bottle's routes with the provider's, which own their hosts, and lists the
// credentials that the sidecar will need.
func (m *maker) egress() error {
	set := policy.Set{Routes: []policy.Route{}, Log: m.bottle.Egress.Log, UpstreamProxy: m.bottle.Egress.UpstreamProxy, Limits: m.bottle.Egress.Limits}
	if m.bottle.Egress.OnDeny == policy.OnDenyAsk {
		set.OnDeny, set.AskSeconds = policy.OnDenyAsk, m.bottle.Egress.AskTimeout
	}
	own := map[string]policy.Route{}
	for _, r := range m.bottle.Egress.Routes {
		route, err := m.host.Route(r)
		if err != nil {
			return err
		}
		own[route.Name()] = route
	}
	if issuer, ok := own[m.out.Issuer.Host]; ok && m.out.Login {
		// The way to it is the operator's; the agent has no business there.
		m.out.Issuer = issuer
		delete(own, issuer.Host)
		m.note("egress.routes." + issuer.Host + ": used on the host to renew the login of " + m.out.Provider.Name() + ", and closed to the agent")
	}
	for _, p := range m.spec.Routes {
		if r, ok := own[p.Host]; ok {
			p = m.takeOver(p, r)
			delete(own, p.Host)
		}
		set.Routes = append(set.Routes, p)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if own[name].Protocol == policy.ProtocolTCP && slices.ContainsFunc(m.spec.Routes, func(p policy.Route) bool { return p.Host == own[name].Host }) {
			m.note("egress.routes." + name + " dropped: the host belongs to the provider")
			continue
		}
		set.Routes = append(set.Routes, own[name])
	}
	m.out.Plan.Egress = m.observe(set)
	m.tokens()
	return nil
}

// takeOver takes from a manifest's route for a provider's host what says how to reach it, and
// nothing that says who may.
func (m *maker) takeOver(p, r policy.Route) policy.Route {
	p.ConnectTo, p.UpstreamCA, p.AllowPrivate = r.ConnectTo, r.UpstreamCA, r.AllowPrivate
	if len(r.Ports) > 0 {
		p.Ports = r.Ports
	}
	if !r.DLP.Plain() {
		p.DLP = r.DLP
	}
	var dropped []string
	for what, set := range map[string]bool{
		"matches": len(r.Matches) > 0, "auth": r.Auth != nil, "tls": r.TLS == policy.TLSPassthrough, "git": r.Git == policy.GitFetch,
	} {
		if set {
			dropped = append(dropped, what)
		}
	}
	if len(dropped) > 0 {
		slices.Sort(dropped)
		m.note("egress.routes." + p.Host + ": " + strings.Join(dropped, ", ") + " dropped: the route belongs to the provider " + p.Owner)
	}
	return p
}

// Route reads the CA file of a manifest's route. A relative path is relative to the folder of
// the operator's bottles, never to the caller's directory, which a repository could fill.
func (h Host) Route(r manifest.Route) (policy.Route, error) {
	out := r.Route
	if r.UpstreamCAFile == "" {
		return out, nil
	}
	file := h.expand(r.UpstreamCAFile)
	raw, err := os.ReadFile(file)
	if err == nil {
		err = certificates(raw)
	}
	if err != nil {
		return out, fault.WithHint(fault.New(fault.Invalid, "egress.routes.%s: cannot use upstream_ca %s: %w", r.Host, file, err),
			"name a file with PEM certificates; a relative path starts at %s", filepath.Join(h.Home, "bottles"))
	}
	out.UpstreamCA = string(raw)
	return out, nil
}

func (h Host) expand(file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(h.UserHome, rest)
	}
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(h.Home, "bottles", file)
}

func certificates(raw []byte) error {
	found := 0
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			break
		}
		raw = rest
		if block.Type != "CERTIFICATE" {
			return errors.New("it holds a " + strings.ToLower(block.Type) + ", not only certificates")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		found++
	}
	if found == 0 {
		return errors.New("it holds no PEM certificate")
	}
	return nil
}

// tokens lists the references of the set and finds the ones that cannot resolve without running
// anything.
func (m *maker) tokens() {
	seen := map[string]bool{}
	check := func(ref, host, what string) {
		if ref == "" || strings.HasPrefix(ref, "literal:") || seen[ref] {
			return
		}
		seen[ref] = true
		scheme, rest, has := strings.Cut(ref, ":")
		switch {
		case !has:
			if v, ok := m.host.Getenv(ref); !ok || v == "" {
				m.problem(fault.NotFound, m.tokenHint(ref, host), "%s is missing: the host variable %s is not set", what, ref)
			}
		case scheme == "file":
			if _, err := os.Stat(m.host.expand(rest)); err != nil {
				m.problem(fault.NotFound, "make that file, or name another place", "%s is missing: %v", what, err)
			}
		}
	}
	for _, r := range m.out.Plan.Egress.Routes {
		if r.Auth != nil {
			check(r.Auth.TokenRef, r.Host, "the token for "+r.Host)
		}
	}
	check(m.out.Plan.Egress.UpstreamProxy, "", "the value of egress.upstream_proxy")
	m.out.Tokens = slices.Sorted(maps.Keys(seen))
}

func (m *maker) tokenHint(ref, host string) string {
	hint := "export " + ref + "=… and start again; the agent never sees it"
	for _, r := range m.spec.Routes {
		if r.Host == host && m.spec.TokenHint != "" {
			how := m.spec.TokenHint
			if m.out.Install != nil && m.spec.TokenHintMissing != "" {
				how = m.spec.TokenHintMissing
			}
			hint = how + "; then " + hint
		}
	}
	return hint
}
