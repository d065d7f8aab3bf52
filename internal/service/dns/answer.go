package dns

import (
	"net/netip"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"golang.org/x/net/dns/dnsmessage"
)

// ttl of every answer in seconds: short, because an approval may change what is allowed.
const ttl = 5

var loopback4, loopback6 = netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()

// verdict is what is said about one question.
type verdict struct {
	code dnsmessage.RCode
	body dnsmessage.ResourceBody // nil means no data
}

// decide answers one question of class IN.
func (s *Server) decide(q dnsmessage.Question, proto string) verdict {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	switch q.Type {
	case dnsmessage.TypeALL, dnsmessage.TypeAXFR, 251: // ANY, AXFR, IXFR
		return verdict{code: dnsmessage.RCodeRefused}
	}
	switch {
	case s.own[name]:
		return address(q.Type, s.config.Sidecar4, s.config.Sidecar6)
	case name == "localhost" || strings.HasSuffix(name, ".localhost"): // RFC 6761 §6.3
		return address(q.Type, loopback4, loopback6)
	case strings.HasSuffix(name, ".arpa"):
		return s.reverse(name, q.Type, proto)
	}
	// A name whose canonical form differs would be judged as one thing and dialled as another.
	canonical, err := policy.CanonicalHost(name)
	if err != nil || canonical != name || !s.deps.Allowed(name) && !s.asked(name) {
		s.denials.record(name, proto, "no route allows this name")
		return verdict{code: dnsmessage.RCodeNameError}
	}
	if s.deps.Refused != nil {
		if shown, reason := s.deps.Refused(name); reason != "" {
			s.denials.record(shown, proto, reason)
			return verdict{code: dnsmessage.RCodeNameError}
		}
	}
	if q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA {
		return verdict{} // also HTTPS and SVCB: no hint to ECH or QUIC
	}
	return s.synthesize(name, q.Type, proto)
}

func (s *Server) synthesize(name string, kind dnsmessage.Type, proto string) verdict {
	named := s.deps.Named(name)
	n, fresh, err := s.pool.number(name, named)
	if err != nil {
		s.denials.record(name, proto, err.Error())
		return verdict{code: dnsmessage.RCodeServerFailure}
	}
	if fresh {
		rule := "route"
		switch {
		case named:
		case s.deps.Allowed(name):
			rule = "wildcard route"
		default:
			rule = "none: what connects is asked about"
		}
		s.deps.Audit.Record(audit.Event{
			Time: s.deps.Now(), Kind: "dns", Verdict: "allow", Layer: "dns", Via: "dns", Proto: proto,
			Host: name, Rule: rule,
		})
	}
	return address(kind, s.pool.address4(n), s.pool.address6(n))
}

func (s *Server) asked(name string) bool { return s.deps.Asked != nil && s.deps.Asked(name) }

// reverse answers lookups of addresses that were given out (RFC 1035 §3.5, RFC 3596 §2.5).
func (s *Server) reverse(name string, kind dnsmessage.Type, proto string) verdict {
	if addr, ok := arpaAddr(name); ok {
		if host, ok := s.NameOf(addr); ok {
			target, err := dnsmessage.NewName(host + ".")
			if err != nil || kind != dnsmessage.TypePTR {
				return verdict{}
			}
			return verdict{body: &dnsmessage.PTRResource{PTR: target}}
		}
	}
	s.denials.record(name, proto, "reverse names outside the bottle are not answered")
	return verdict{code: dnsmessage.RCodeNameError}
}

func address(kind dnsmessage.Type, v4, v6 netip.Addr) verdict {
	switch kind {
	case dnsmessage.TypeA:
		return verdict{body: &dnsmessage.AResource{A: v4.As4()}}
	case dnsmessage.TypeAAAA:
		return verdict{body: &dnsmessage.AAAAResource{AAAA: v6.As16()}}
	default:
		return verdict{}
	}
}

// arpaAddr reads a name below in-addr.arpa or ip6.arpa.
func arpaAddr(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return addr, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 62; i >= 0; i -= 2 {
		if i < 62 && rest[i+1] != '.' {
			return netip.Addr{}, false
		}
		text.WriteByte(rest[i])
		if (62-i)/2%4 == 3 && i > 0 {
			text.WriteByte(':')
		}
	}
	addr, err := netip.ParseAddr(text.String())
	return addr, err == nil && addr.Is6() && !addr.Is4In6()
}
