package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestATCPRouteIsOneHostAndItsPorts(t *testing.T) {
	for _, c := range []struct {
		name   string
		routes []policy.Route
		want   string // of the error; "" for none
	}{
		{"a database", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}}}, ""},
		{"beside HTTP on other ports", []policy.Route{{Host: "db.example"}, {Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}}}, ""},
		{"beside HTTP that is passed through", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}}, {Host: "db.example", TLS: policy.TLSPassthrough}}, ""},
		{"below a wildcard", []policy.Route{{Host: "*.example"}, {Host: "db.example", Protocol: "tcp", Ports: []uint16{443}}}, ""},
		{"on a usual port of HTTP", []policy.Route{{Host: "db.example"}, {Host: "db.example", Protocol: "tcp", Ports: []uint16{443}}}, "port 443"},
		{"the other way round", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{80}}, {Host: "db.example"}}, "port 80"},
		{"no port", []policy.Route{{Host: "db.example", Protocol: "tcp"}}, "ports"},
		{"the resolver's port", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{53}}}, "port 53"},
		{"a wildcard", []policy.Route{{Host: "*.example", Protocol: "tcp", Ports: []uint16{5432}}}, "wildcard"},
		{"a credential", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}, Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "T"}}}, "credential"},
		{"matches", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}, Matches: []policy.Match{{Methods: []string{"GET"}}}}}, "matches"},
		{"scans", []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}, DLP: policy.DLP{OnMatch: "block"}}}, "dlp"},
		{"another protocol", []policy.Route{{Host: "db.example", Protocol: "udp", Ports: []uint16{5432}}}, "udp"},
	} {
		_, err := policy.Compile(policy.Set{Routes: c.routes})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestATCPRouteAdmitsConnectionsAndNoRequests(t *testing.T) {
	rules, err := policy.Compile(policy.Set{Routes: []policy.Route{{Host: "db.example", Protocol: "tcp", Ports: []uint16{5432}}, {Host: "db.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := rules.DecideHost("DB.example.", 5432); !d.Allow || d.Route.Protocol != policy.ProtocolTCP {
		t.Errorf("%+v", d)
	}
	if d := rules.DecideHost("db.example", 5433); d.Allow {
		t.Error("another port is open")
	}
	for port, want := range map[uint16]bool{5432: false, 443: true} {
		q, err := policy.NewRequest("GET", "db.example", port, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := rules.Decide(q); d.Allow != want || !want && (d.Approvable || d.Layer != policy.LayerProtocol) {
			t.Errorf("port %d: %+v", port, d)
		}
	}
}
