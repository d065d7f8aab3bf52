package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func inForce(t *testing.T) *policy.Rules {
	t.Helper()
	rules, err := policy.Compile(policy.Set{Routes: []policy.Route{
		{Host: "api.provider.example", Owner: "claude", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "LOGIN"}},
		{Host: "api.github.com", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "GH_TOKEN"},
			Matches: []policy.Match{{Paths: []policy.PathMatch{{Type: "prefix", Value: "/repos/acme/"}}}}},
		{Host: "*.cdn.example", Matches: []policy.Match{{Methods: []string{"GET"}}}},
		{Host: "plain.example"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestWhatIsNeverOffered(t *testing.T) {
	rules := inForce(t)
	auth := &policy.Auth{Scheme: "Bearer", TokenRef: "GH_TOKEN"}
	for name, route := range map[string]policy.Route{
		"a private address":               {Host: "10.0.0.1"},
		"this machine":                    {Host: "127.0.0.1"},
		"the metadata service":            {Host: "169.254.169.254"},
		"the metadata service in IPv6":    {Host: "fd00:ec2::254"},
		"a range of private addresses":    {Host: "new.example", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		"another host's credential":       {Host: "new.example", Auth: auth},
		"another credential for its host": {Host: "api.github.com", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "OTHER"}},
		"another form of its credential":  {Host: "api.github.com", Auth: &policy.Auth{Scheme: "header", Name: "X-Key", TokenRef: "GH_TOKEN"}},
		"a provider's host":               {Host: "api.provider.example"},
		"all names with a provider's":     {Host: "*.provider.example"},
		"a provider's route":              {Host: "new.example", Owner: "claude"},
		"TLS passed through a credential": {Host: "api.github.com", TLS: policy.TLSPassthrough},
		"the same through a wildcard":     {Host: "*.github.com", TLS: policy.TLSPassthrough},
		"TLS passed through elsewhere":    {Host: "new.example", TLS: policy.TLSPassthrough},
		"raw TCP":                         {Host: "new.example", Protocol: policy.ProtocolTCP, Ports: []uint16{22}},
		"another place":                   {Host: "plain.example", ConnectTo: "127.0.0.1:22"},
		"another authority":               {Host: "plain.example", UpstreamCA: "pem"},
		"a whole domain":                  {Host: "*.com"},
		"no host":                         {},
		"a look that is not canonical":    {Host: "EXAMPLE.org"},
		"a host with letters of others":   {Host: "ex\u0430mple.org"},
		"a host with a terminal escape":   {Host: "a\x1b[2J.example"},
		"a host with a bidi override":     {Host: "a\u202e.example"},
		"the sidecar's pages":             {Host: policy.InternalHost},
	} {
		if o, err := rules.Offer(route); err == nil {
			t.Errorf("%s is offered: %+v", name, o)
		}
	}
}

func TestAnOfferSaysWhatItWouldDo(t *testing.T) {
	rules := inForce(t)
	o, err := rules.Offer(policy.Route{Host: "new.example", Ports: []uint16{443}, Matches: []policy.Match{{Methods: []string{"GET"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Added != "- host: new.example\n  ports: [443]\n  matches: [{methods: [GET]}]\n" || o.Opens != "new.example, port 443: GET of every path" || o.Now != "no route names this host" {
		t.Errorf("%+v", o)
	}
	for host, want := range map[string]string{
		"apl.github.com":                "it looks like api.github.com",
		"api.glthub.com":                "it looks like api.github.com",
		"plaln.example":                 "it looks like plain.example",
		"plain.exarnple":                "it looks like plain.example",
		"xn--pln-7cd0b.example":         "not ASCII",
		"api.github.com.evil.example":   "it contains api.github.com",
		"plain.example-mirror.evil.net": "it contains plain.example",
		"*.new.example":                 "covers every name below new.example",
		"a.cdn.example":                 "from then on only this route counts",
	} {
		o, err := rules.Offer(policy.Route{Host: host})
		if err != nil || !strings.Contains(strings.Join(o.Warnings, "\n"), want) {
			t.Errorf("%s: warnings %q, %v; want %q", host, o.Warnings, err, want)
		}
	}
	for _, host := range []string{"docs.python.org", "registry.example.org"} {
		if o, err := rules.Offer(policy.Route{Host: host}); err != nil || len(o.Warnings) > 0 {
			t.Errorf("%s: %q, %v", host, o.Warnings, err)
		}
	}
}

func TestTheMissingRouteAllowsTheRequestAndLittleElse(t *testing.T) {
	rules := inForce(t)
	for _, tc := range []struct {
		method, host, path string
		port               uint16
		want               string // as one line; "" is not offered
	}{
		{"GET", "new.example", "/a", 443, "{host: new.example, ports: [443], matches: [{methods: [GET, HEAD, OPTIONS]}]}"},
		{"POST", "new.example", "/a", 8080, "{host: new.example, ports: [8080]}"},
		{"GET", "api.github.com", "/user", 443, "{host: api.github.com, matches: [{methods: [GET], paths: [{type: exact, value: /user}]}], auth: {scheme: Bearer, token_ref: GH_TOKEN}}"},
		{"POST", "a.cdn.example", "/x", 443, "{host: a.cdn.example, ports: [80, 443], matches: [{methods: [GET]}, {methods: [POST], paths: [{type: exact, value: /x}]}]}"},
		{"GET", "plain.example", "/", 8443, "{host: plain.example, ports: [8443]}"},
		{"GET", "api.provider.example", "/", 8443, ""},
		{"GET", "10.0.0.1", "/", 443, ""},
	} {
		q, err := policy.NewRequest(tc.method, tc.host, tc.port, tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rules.Decide(q).Allow {
			t.Fatalf("%s %s is allowed already", tc.method, tc.host)
		}
		route, ok := rules.Missing(q)
		if !ok || tc.want == "" {
			if ok != (tc.want != "") {
				t.Errorf("%s %s: offered %v", tc.method, tc.host, ok)
			}
			continue
		}
		if got := route.Flow(); got != tc.want {
			t.Errorf("%s %s: got %s, want %s", tc.method, tc.host, got, tc.want)
		}
		set, err := rules.With(route)
		if err != nil {
			t.Fatal(err)
		}
		then, err := policy.Compile(set)
		if err != nil {
			t.Fatal(err)
		}
		if d := then.Decide(q); !d.Allow {
			t.Errorf("%s %s: with the route it is still refused: %s", tc.method, tc.host, d.Reason)
		}
		if again, err := then.With(route); err != nil || len(again.Routes) != len(set.Routes) {
			t.Errorf("%s %s: added twice", tc.method, tc.host)
		}
	}
}

func TestAnOfferSaysEverythingAndOnce(t *testing.T) {
	with := func(m string) policy.Route {
		return policy.Route{Host: "plain.example", UpstreamCA: "pem", Matches: []policy.Match{{Methods: []string{m}}}}
	}
	rules, err := policy.Compile(policy.Set{Routes: []policy.Route{with("GET"), with("POST")}})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := rules.Offer(policy.Route{Host: "plaln.example"}); err != nil || len(o.Warnings) != 1 {
		t.Errorf("warnings %q, %v", o.Warnings, err)
	}
	if o, err := rules.Offer(with("PUT")); err != nil || !strings.HasSuffix(o.Added, "\n  upstream_ca: (own CA)\n") {
		t.Errorf("%q, %v", o.Added, err)
	}
	tcp := policy.Route{Host: "db.example", Protocol: policy.ProtocolTCP}
	if text := tcp.YAML(); strings.Count(text, "protocol") != 1 {
		t.Errorf("%q", text)
	}
}
