package dns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/service/dns"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record keeps events, and the time that passes between them.
type record struct {
	mu     sync.Mutex
	now    time.Time
	events []audit.Event
}

func (r *record) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *record) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *record) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// take returns "verdict host" of each event since the last call.
func (r *record) take() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		lines = append(lines, strings.TrimSpace(e.Verdict+" "+e.Host+e.Message))
	}
	r.events = nil
	return lines
}

func allowed(name string) bool {
	return name == "api.example.org" || strings.HasSuffix(name, ".wild.example.org")
}

func config() dns.Config {
	return dns.Config{
		SidecarNames: []string{"_egress.local", "supervise", "git-gate.local"},
		Sidecar4:     netip.MustParseAddr(plan.SidecarIPv4), Sidecar6: netip.MustParseAddr(plan.SidecarIPv6),
		Synthetic4: netip.MustParsePrefix(plan.SyntheticIPv4), Synthetic6: netip.MustParsePrefix(plan.SyntheticIPv6),
	}
}

func deps(rec *record) dns.Deps {
	return dns.Deps{
		Allowed: allowed, Named: func(name string) bool { return name == "api.example.org" }, Audit: rec, Now: rec.clock,
	}
}

func newServer(t testing.TB, c dns.Config, d dns.Deps) *dns.Server {
	t.Helper()
	s, err := dns.New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fixture(t testing.TB) (*dns.Server, *record) {
	rec := &record{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return newServer(t, config(), deps(rec)), rec
}

func question(t testing.TB, name string, kind dnsmessage.Type, class dnsmessage.Class, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	msg := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: class}},
	}
	if change != nil {
		change(&msg)
	}
	packet, err := msg.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func unpack(t testing.TB, packet []byte) dnsmessage.Message {
	t.Helper()
	var msg dnsmessage.Message
	if err := msg.Unpack(packet); err != nil {
		t.Fatalf("cannot read the answer %x: %v", packet, err)
	}
	return msg
}

// said is the answer in short: its code, or "no data", or the data.
func said(msg dnsmessage.Message) string {
	if msg.RCode != dnsmessage.RCodeSuccess {
		return strings.TrimPrefix(msg.RCode.String(), "RCode")
	}
	if len(msg.Answers) == 0 {
		return "no data"
	}
	switch body := msg.Answers[0].Body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(body.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(body.AAAA).String()
	case *dnsmessage.PTRResource:
		return body.PTR.String()
	default:
		return fmt.Sprint(body)
	}
}

func ask(t testing.TB, s *dns.Server, name string, kind dnsmessage.Type) string {
	t.Helper()
	return said(unpack(t, s.Answer(question(t, name, kind, dnsmessage.ClassINET, nil), "udp")))
}

func TestAnswers(t *testing.T) {
	s, _ := fixture(t)
	if got := ask(t, s, "api.example.org.", dnsmessage.TypeA); got != "198.18.1.0" {
		t.Fatalf("the first name got %s", got)
	}
	for _, row := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"api.example.org.", dnsmessage.TypeA, "198.18.1.0"},
		{"API.Example.ORG.", dnsmessage.TypeA, "198.18.1.0"},
		{"api.example.org.", dnsmessage.TypeAAAA, "fdb0:771e::100"},
		{"api.example.org.", dnsmessage.TypeMX, "no data"},
		{"api.example.org.", dnsmessage.TypeTXT, "no data"},
		{"api.example.org.", 65, "no data"}, // HTTPS
		{"api.example.org.", 64, "no data"}, // SVCB
		{"api.example.org.", dnsmessage.TypeALL, "Refused"},
		{"api.example.org.", dnsmessage.TypeAXFR, "Refused"},
		{"a.wild.example.org.", dnsmessage.TypeA, "198.18.1.1"},
		{"wild.example.org.", dnsmessage.TypeA, "NameError"},
		{"evil.example.", dnsmessage.TypeA, "NameError"},
		{"evil.example.", 65, "NameError"},
		{"secret-data.evil.example.", dnsmessage.TypeTXT, "NameError"},
		{"api.example.org\\000.", dnsmessage.TypeA, "NameError"},
		{"api.example.org\x00.wild.example.org.", dnsmessage.TypeA, "NameError"},
		{"a_b.wild.example.org.", dnsmessage.TypeA, "NameError"},
		{".", dnsmessage.TypeA, "NameError"},
		{".", dnsmessage.TypeNS, "NameError"},
		{"169.254.169.254.", dnsmessage.TypeA, "NameError"},
		{"0x7f.1.", dnsmessage.TypeA, "NameError"},
		{"_egress.local.", dnsmessage.TypeA, plan.SidecarIPv4},
		{"supervise.", dnsmessage.TypeAAAA, plan.SidecarIPv6},
		{"Git-Gate.local.", dnsmessage.TypeA, plan.SidecarIPv4},
		{"supervise.", dnsmessage.TypeTXT, "no data"},
		{"localhost.", dnsmessage.TypeA, "127.0.0.1"},
		{"app.localhost.", dnsmessage.TypeAAAA, "::1"},
		{"0.1.18.198.in-addr.arpa.", dnsmessage.TypePTR, "api.example.org."},
		{"1.0.18.198.in-addr.arpa.", dnsmessage.TypePTR, "_egress.local."},
		{"8.8.8.8.in-addr.arpa.", dnsmessage.TypePTR, "NameError"},
		{"0.1.18.198.in-addr.arpa.", dnsmessage.TypeTXT, "no data"},
		{"0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.7.7.0.b.d.f.ip6.arpa.", dnsmessage.TypePTR, "api.example.org."},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.7.7.0.b.d.f.ip6.arpa.", dnsmessage.TypePTR, "_egress.local."},
		{"x.arpa.", dnsmessage.TypeA, "NameError"},
	} {
		if got := ask(t, s, row.name, row.kind); got != row.want {
			t.Errorf("%s %s: got %s, want %s", row.name, row.kind, got, row.want)
		}
	}
}

func TestANameThatIsNotItsCanonicalFormDoesNotExist(t *testing.T) {
	d := deps(&record{})
	d.Allowed = func(string) bool { return true } // not even then
	s := newServer(t, config(), d)
	for _, name := range []string{"127.1.", "0x7f000001.", "2130706433.", "a_b.example.", "-a.example.", "xn--a.example."} {
		if got := ask(t, s, name, dnsmessage.TypeA); got != "NameError" {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestNameOfFindsWhatWasAnsweredAndNothingElse(t *testing.T) {
	s, _ := fixture(t)
	ask(t, s, "api.example.org.", dnsmessage.TypeA)
	for addr, want := range map[string]string{
		"198.18.1.0": "api.example.org", "fdb0:771e::100": "api.example.org", "::ffff:198.18.1.0": "api.example.org",
		plan.SidecarIPv4: "_egress.local", plan.SidecarIPv6: "_egress.local",
		"198.18.1.1": "", "198.18.0.255": "", "198.17.255.255": "", "fdb0:771e::101": "", "fdb0:771e:0:0:1::100": "", "8.8.8.8": "", "::": "",
	} {
		if got, ok := s.NameOf(netip.MustParseAddr(addr)); got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

func TestMessages(t *testing.T) {
	s, _ := fixture(t)
	in := dnsmessage.ClassINET
	name := "aPi.ExAmple.oRg."
	q := func(change func(*dnsmessage.Message)) []byte { return question(t, name, dnsmessage.TypeA, in, change) }
	raw := func(b []byte, change func([]byte)) []byte { change(b); return b }
	option := func(version uint8) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) {
			var h dnsmessage.ResourceHeader
			if err := h.SetEDNS0(4096, 0, true); err != nil {
				t.Fatal(err)
			}
			h.TTL |= uint32(version) << 16
			m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{
				Options: []dnsmessage.Option{{Code: 10, Data: []byte("cookie--")}}}})
		}
	}
	for what, row := range map[string]struct {
		query []byte
		want  string
	}{
		"a plain question":        {q(nil), "198.18.1.0"},
		"with EDNS":               {q(option(0)), "198.18.1.0"},
		"with EDNS of the future": {q(option(1)), "BADVERS"},
		"with two OPT records":    {q(func(m *dnsmessage.Message) { option(0)(m); option(0)(m) }), "FormatError"},
		"of class CHAOS":          {question(t, "version.bind.", dnsmessage.TypeTXT, dnsmessage.ClassCHAOS, nil), "Refused"},
		"with two questions":      {q(func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), "FormatError"},
		"without a question":      {q(func(m *dnsmessage.Message) { m.Questions = nil }), "FormatError"},
		"with an answer record": {q(func(m *dnsmessage.Message) {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: in}, Body: &dnsmessage.AResource{}}}
		}), "FormatError"},
		"with an answer":           {raw(q(nil), func(b []byte) { b[7] = 1 }), "FormatError"},
		"with 256 questions":       {raw(q(nil), func(b []byte) { b[4] = 1 }), "FormatError"},
		"cut off":                  {q(nil)[:20], "FormatError"},
		"with a pointer to itself": {raw(q(nil), func(b []byte) { b[12], b[13] = 0xc0, 12 }), "FormatError"},
		"with a label of 64":       {raw(q(nil), func(b []byte) { b[12] = 64 }), "FormatError"},
		"with a dot in a label":    {raw(q(nil), func(b []byte) { b[14] = '.' }), "FormatError"},
		"an update":                {raw(q(nil), func(b []byte) { b[2] |= 5 << 3 }), "NotImplemented"},
		"a response":               {raw(q(nil), func(b []byte) { b[2] |= 0x80 }), "silence"},
		"too short for an id":      {[]byte("hello"), "silence"},
	} {
		response := s.Answer(row.query, "udp")
		if response == nil {
			if row.want != "silence" {
				t.Errorf("%s: no answer, want %s", what, row.want)
			}
			continue
		}
		msg := unpack(t, response)
		got := said(msg)
		if len(msg.Additionals) == 1 && msg.Additionals[0].Header.ExtendedRCode(msg.RCode) == 16 {
			got = "BADVERS"
		}
		if got != row.want || msg.ID != 4711 || !msg.Response {
			t.Errorf("%s: got %s (id %d), want %s", what, got, msg.ID, row.want)
		}
		if got == "198.18.1.0" && (msg.Questions[0].Name.String() != name || msg.Answers[0].Header.Name.String() != name) {
			t.Errorf("%s: the letter case of the question is lost: %v", what, msg.Questions)
		}
		if what == "with EDNS" && len(msg.Additionals) != 1 {
			t.Errorf("EDNS was not answered")
		}
	}
}

func TestNoAddressIsGivenTwiceAndNamedRoutesNeverRunOut(t *testing.T) {
	rec := &record{}
	c := config()
	c.MaxWildcardNames = 50
	s := newServer(t, c, deps(rec))
	seen := map[string]string{}
	refused := 0
	for round := range 2 {
		for i := range 60 {
			name := fmt.Sprintf("n%d.wild.example.org.", i)
			got := ask(t, s, name, dnsmessage.TypeA)
			if got == "ServerFailure" {
				refused++
				continue
			}
			if owner, ok := seen[got]; ok && owner != name {
				t.Fatalf("%s went to %s and to %s", got, owner, name)
			}
			seen[got] = name
			if round == 1 && i >= 50 {
				t.Errorf("%s got %s after the end", name, got)
			}
		}
	}
	if refused != 20 || len(seen) != 50 {
		t.Errorf("%d refused and %d names, want 20 and 50", refused, len(seen))
	}
	if got := ask(t, s, "api.example.org.", dnsmessage.TypeA); got == "ServerFailure" {
		t.Error("names below a wildcard used up the address of a named route")
	}
	if lines := rec.take(); len(lines) != 50+10+1 {
		t.Errorf("%d events, want each name once: %q", len(lines), lines)
	}
}

func TestEachNameIsAuditedOnce(t *testing.T) {
	s, rec := fixture(t)
	for range 3 {
		ask(t, s, "c2VjcmV0.wild.example.org.", dnsmessage.TypeA)
		ask(t, s, "c2VjcmV0.wild.example.org.", dnsmessage.TypeAAAA)
		ask(t, s, "evil.example.", dnsmessage.TypeA)
		ask(t, s, "supervise.", dnsmessage.TypeA)
	}
	if got := strings.Join(rec.take(), "|"); got != "allow c2vjcmv0.wild.example.org|deny evil.example" {
		t.Errorf("got %s", got)
	}
	rec.pass(11 * time.Second)
	ask(t, s, "evil.example.", dnsmessage.TypeA)
	if got := strings.Join(rec.take(), "|"); got != "deny evil.example" {
		t.Errorf("in the next window: got %s", got)
	}
}

func TestFloodOfDeniedNamesIsBoundedAndCounted(t *testing.T) {
	s, rec := fixture(t)
	for i := range 10000 {
		ask(t, s, fmt.Sprintf("n%d.evil.example.", i), dnsmessage.TypeA)
	}
	if n := len(rec.take()); n != 64 {
		t.Errorf("%d events in one window, want 64", n)
	}
	rec.pass(11 * time.Second)
	ask(t, s, "again.evil.example.", dnsmessage.TypeA)
	if got := strings.Join(rec.take(), "|"); got != "deny 9936 more refused queries within 10s|deny again.evil.example" {
		t.Errorf("got %s", got)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for what, change := range map[string]func(*dns.Config, *dns.Deps){
		"no policy":            func(_ *dns.Config, d *dns.Deps) { d.Allowed = nil },
		"no sink":              func(_ *dns.Config, d *dns.Deps) { d.Audit = nil },
		"no sidecar address":   func(c *dns.Config, _ *dns.Deps) { c.Sidecar4 = netip.Addr{} },
		"no range":             func(c *dns.Config, _ *dns.Deps) { c.Synthetic6 = netip.Prefix{} },
		"a small range":        func(c *dns.Config, _ *dns.Deps) { c.Synthetic4 = netip.MustParsePrefix("198.18.0.0/24") },
		"more names than room": func(c *dns.Config, _ *dns.Deps) { c.MaxWildcardNames = 1 << 20 },
	} {
		c, d := config(), deps(&record{})
		change(&c, &d)
		if _, err := dns.New(c, d); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	s, _ := fixture(f)
	f.Add(question(f, "api.example.org.", dnsmessage.TypeA, dnsmessage.ClassINET, nil))
	f.Add(question(f, "0.1.18.198.in-addr.arpa.", dnsmessage.TypePTR, dnsmessage.ClassINET, nil))
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x01\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, query []byte) {
		response := s.Answer(query, "udp")
		if response == nil {
			return
		}
		if len(query) < 12 || query[2]&0x80 != 0 || len(response) > 1232 {
			t.Fatalf("answered %x with %d bytes", query, len(response))
		}
		msg := unpack(t, response)
		if !msg.Response || len(msg.Answers) > 1 || msg.ID != uint16(query[0])<<8|uint16(query[1]) {
			t.Fatalf("got %+v", msg)
		}
		if len(msg.Answers) == 1 {
			name := strings.ToLower(strings.TrimSuffix(msg.Questions[0].Name.String(), "."))
			own := name == "supervise" || name == "_egress.local" || name == "git-gate.local" ||
				name == "localhost" || strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".arpa")
			if !own && !allowed(name) {
				t.Fatalf("%q was answered", name)
			}
		}
	})
}
