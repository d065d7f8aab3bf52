package sidecar_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

func userKey() map[string]string {
	return map[string]string{control.KeyRef: strings.Repeat("00ff", 16)}
}

func bait() string { return "bbk_" + "Zq3Lw8Xn5Tr1Vb7Km4Hd9Pc2Gs6Jf0Ya" }

// operator answers the one question that is open.
func operator(t *testing.T, r *rig, decide func(ask.Proposal) ask.Decision) {
	t.Helper()
	client := control.NewClient(must[net.Conn](t)(net.Dial("unix", r.status)))
	defer client.Close()
	var seen control.Proposals
	for end := time.Now().Add(deadline); ; {
		var err error
		if seen, err = client.Proposals(t.Context(), seen.Revision); err != nil {
			t.Fatal(err)
		}
		for _, p := range seen.Proposals {
			if p.State.Open() {
				if _, err := client.Decide(t.Context(), decide(p)); err != nil {
					t.Error(err)
				}
				return
			}
		}
		if time.Now().After(end) {
			t.Fatal("there is no question")
		}
	}
}

func approve(scope ask.Scope) func(ask.Proposal) ask.Decision {
	return func(p ask.Proposal) ask.Decision {
		return ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Approved, Scope: scope}
	}
}

func TestAFindingIsHeldForTheOperator(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, true, userKey(), w.route("example.com", policy.DLP{}), w.route("*.example.com", policy.DLP{}))
	client := agent(t, r, ready)
	value, other := githubToken(), strings.Replace(githubToken(), "x8K", "y9L", 1)
	held := func(body string, decide func(ask.Proposal) ask.Decision) (int, string) {
		t.Helper()
		type answer struct {
			status int
			text   string
		}
		got := make(chan answer, 1)
		go func() {
			status, text := send(t, client, "https://example.com/x", body, "Content-Type", "text/plain")
			got <- answer{status, text}
		}()
		operator(t, r, decide)
		a := <-got
		return a.status, a.text
	}
	var asked ask.Proposal
	if status, answer := held("it is "+value, func(p ask.Proposal) ask.Decision {
		asked = p
		return ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected, Reason: "not this one"}
	}); status != 403 || !strings.Contains(answer, "not this one") {
		t.Errorf("refused: %d %s", status, answer)
	}
	shown, err := json.Marshal(asked)
	if err != nil || asked.Kind != ask.Value || strings.Contains(string(shown), value) || !strings.Contains(string(shown), "github") || !strings.Contains(string(shown), "fingerprint") {
		t.Errorf("the operator is shown %s", shown)
	}
	if reached := w.take(); strings.Contains(reached, value[:12]) {
		t.Errorf("what was refused left: %q", reached)
	}
	if status, answer := held("it is "+value, approve(ask.Once)); status != 200 {
		t.Errorf("approved once: %d %s", status, answer)
	}
	if reached := w.take(); !strings.Contains(reached, "it is "+value) {
		t.Errorf("what was approved did not leave: %q", reached)
	}
	if status, _ := held("once more: "+value, approve(ask.Run)); status != 200 {
		t.Errorf("approved for the run: %d", status)
	}
	if status, answer := send(t, client, "https://example.com/x", "and again "+value, "Content-Type", "text/plain"); status != 200 {
		t.Errorf("after an approval for the run: %d %s", status, answer)
	}
	// Another value, and the same value to another host, are other questions.
	if status, _ := held("it is "+other, func(p ask.Proposal) ask.Decision {
		return ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected}
	}); status != 403 {
		t.Errorf("another value: %d", status)
	}
	done := make(chan int, 1)
	go func() {
		status, _ := send(t, client, "https://a.example.com/x", "it is "+value, "Content-Type", "text/plain")
		done <- status
	}()
	operator(t, r, func(p ask.Proposal) ask.Decision {
		return ask.Decision{ID: p.ID, Digest: p.Digest, Verdict: ask.Rejected}
	})
	if status := <-done; status != 403 {
		t.Errorf("another host: %d", status)
	}
	if log := logOf(t, r); strings.Contains(log, value) || !strings.Contains(log, "let pass by the operator") {
		t.Errorf("the log: %s", log)
	}
}

func TestWhatIsCertainIsNeverAsked(t *testing.T) {
	w := newWire(t, nil)
	guarded := userKey()
	guarded[control.CanaryRef] = bait()
	r, ready := serving(t, true, guarded, w.route("example.com", policy.DLP{Allow: []policy.Allowance{{Rule: "canary"}}}))
	client := agent(t, r, ready)
	client.Timeout = 5 * time.Second // a question would take longer
	bomb := strings.Repeat("this is not compressed", 10)
	if status, answer := send(t, client, "https://example.com/x", bomb, "Content-Encoding", "gzip"); status != 403 || !strings.Contains(answer, "limit-broken") {
		t.Errorf("what cannot be read: %d %s", status, answer)
	}
	if status, answer := send(t, client, "https://example.com/x", "bait: "+bait()); status != 403 || !strings.Contains(answer, "canary") {
		t.Errorf("the canary: %d %s", status, answer)
	}
}

func TestTheCanaryIsAnAlarmInEveryEncoding(t *testing.T) {
	w := newWire(t, nil)
	guarded := userKey()
	guarded[control.CanaryRef] = bait()
	own := w.route("example.com", policy.DLP{OnMatch: "redact"})
	other := w.route("*.example.com", policy.DLP{OnMatch: "redact"})
	own.Owner = "claude"
	r, ready := serving(t, true, guarded, own, other)
	client := agent(t, r, ready)
	for name, value := range map[string]string{
		"plain": bait(), "base64": base64.StdEncoding.EncodeToString([]byte(bait())), "hex": hex.EncodeToString([]byte(bait())),
		"base32": base32.StdEncoding.EncodeToString([]byte(bait())), "a part": bait()[8:24], "apart": strings.Join(strings.Split(bait(), ""), "-"),
	} {
		for place, try := range map[string]func(host string) (int, string){
			"body": func(host string) (int, string) {
				return send(t, client, "https://"+host+"/x", `{"a":"`+value+`"}`, "Content-Type", "application/json")
			},
			"query": func(host string) (int, string) { return send(t, client, "https://"+host+"/x?q="+value, "") },
		} {
			if status, answer := try("b.example.com"); status != 403 {
				t.Errorf("%s in the %s: %d %s", name, place, status, answer)
			}
			// In a provider's conversation it is taken out.
			if status, answer := try("example.com"); status != 200 {
				t.Errorf("%s in the %s of a provider's: %d %s", name, place, status, answer)
			}
			if reached := w.take(); strings.Contains(reached, value) {
				t.Errorf("%s in the %s left: %q", name, place, reached)
			}
		}
	}
	if status, _ := send(t, client, "https://b.example.com/x", "", "Authorization", "Bearer "+bait()); status != 200 {
		t.Errorf("a credential is taken off: %d", status)
	}
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	var alarms []string
	for _, e := range r.events(t, audit.Filter{}) {
		if e.Kind == "alarm" && e.Rule == "canary" {
			alarms = append(alarms, e.Host+": "+e.Message)
		}
	}
	for _, want := range []string{"b.example.com: the canary was sent in the request's body", "b.example.com: the canary was sent in the request's head", "b.example.com: the canary was sent in Authorization", "example.com: the canary was sent in the request's body"} {
		if !strings.Contains(strings.Join(alarms, "\n"), want) {
			t.Errorf("no alarm %q in %q", want, alarms)
		}
	}
}

func TestEverySecretOfTheBottleIsKnown(t *testing.T) {
	w := newWire(t, nil)
	variable, company := "Tr0ub4dor-and-3-more", "qW8zLm4xNv2cRt6y"
	guarded := map[string]string{"env:DB_PASSWORD": variable, "host:CORP_KEY": company}
	r, ready := serving(t, false, guarded, w.route("example.com", policy.DLP{OnMatch: "block"}))
	client := agent(t, r, ready)
	for name, value := range map[string]string{"env:DB_PASSWORD": variable, "host:CORP_KEY": company, "UPSTREAM_TOKEN": token()} {
		if status, answer := send(t, client, "https://example.com/x", "so: "+value); status != 403 || !strings.Contains(answer, "known-secret:"+name) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if err := r.client.Note(t.Context(), audit.Event{Kind: "note", Message: "with " + variable}); err != nil {
		t.Fatal(err)
	}
	if log := logOf(t, r); strings.Contains(log, variable) || !strings.Contains(log, "with ***") {
		t.Errorf("the log: %s", log)
	}
}

func TestAGuardedValueIsNoCredential(t *testing.T) {
	w := newWire(t, nil)
	route := w.route("example.com", policy.DLP{})
	route.Auth = &policy.Auth{Scheme: "Bearer", TokenRef: "env:DB_PASSWORD"}
	r := start(t)
	r.hand(t)
	c := config(w.addr, w.ca)
	c.Guarded, c.Egress.Routes = []string{"env:DB_PASSWORD"}, []policy.Route{route}
	values := secrets()
	values["env:DB_PASSWORD"] = values["UPSTREAM_TOKEN"]
	if _, err := r.client.Configure(t.Context(), c, values); err == nil {
		t.Error("a route may put in what is only recognised")
	}
}

func TestAnAllowanceLetsExactlyItsFindingPass(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, false, userKey(), w.route("example.com", policy.DLP{OnMatch: "block"}))
	client := agent(t, r, ready)
	_, answer := send(t, client, "https://example.com/x", "it is "+githubToken(), "Content-Type", "text/plain")
	var refusal struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(answer), &refusal); err != nil {
		t.Fatal(err)
	}
	_, print, ok := strings.Cut(refusal.Reason, "fingerprint ")
	if !ok || len(print) < 16 {
		t.Fatalf("the refusal has no fingerprint: %s", refusal.Reason)
	}
	print = print[:16]
	for name, c := range map[string]struct {
		allow policy.Allowance
		path  string
		want  int
	}{
		"its fingerprint":           {policy.Allowance{Fingerprint: print}, "/x", 200},
		"its fingerprint and path":  {policy.Allowance{Fingerprint: print, Path: "/x"}, "/x/y", 200},
		"another path":              {policy.Allowance{Fingerprint: print, Path: "/y"}, "/x", 403},
		"another fingerprint":       {policy.Allowance{Fingerprint: "0000000000000000"}, "/x", 403},
		"one rule of two":           {policy.Allowance{Rule: "github-token", Fingerprint: print}, "/x", 403},
		"another rule's":            {policy.Allowance{Rule: "npm-token", Fingerprint: print}, "/x", 403},
		"a path that is cut by ../": {policy.Allowance{Fingerprint: print, Path: "/x/"}, "/x/%2e%2e/y", 400},
	} {
		w2 := w.route("example.com", policy.DLP{OnMatch: "block", Allow: []policy.Allowance{c.allow}})
		// The key is the same, so the fingerprint is, in another run too.
		r, ready := serving(t, false, userKey(), w2)
		client := agent(t, r, ready)
		status, answer := send(t, client, "https://example.com"+c.path, "it is "+githubToken(), "Content-Type", "text/plain")
		if c.want == 400 && status >= 400 {
			status = 400
		}
		if status != c.want {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if c.want == 200 {
			if status, _ := send(t, client, "https://example.com"+c.path, "it is "+token(), "Content-Type", "text/plain"); status != 403 {
				t.Errorf("%s: another secret passes, too: %d", name, status)
			}
		}
	}
}

// lookup asks the sidecar's resolver for an address.
func lookup(t *testing.T, r *rig, name string) dnsmessage.RCode {
	t.Helper()
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	conn := must[net.Conn](t)(net.Dial("udp", r.dns))
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if _, err := conn.Write(must[[]byte](t)(query.Pack())); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1500)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	var got dnsmessage.Message
	if err := got.Unpack(answer[:n]); err != nil {
		t.Fatal(err)
	}
	return got.RCode
}

func TestLabelsBelowAWildcardCarryNoSecret(t *testing.T) {
	w := newWire(t, nil)
	open := w.route("*.example.com", policy.DLP{Outbound: []string{"token_patterns", "known_secrets", "entropy"}})
	closed := w.route("*.example.net", policy.DLP{Outbound: []string{"token_patterns", "known_secrets", "entropy"}})
	closed.TLS = policy.TLSPassthrough
	r, ready := serving(t, false, nil, open, closed)
	client := agent(t, r, ready)
	b32 := strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString([]byte(token())), "="))
	for name, labels := range map[string]string{
		"as it stands":  strings.ReplaceAll(token(), "_", "-"),
		"in hex":        hex.EncodeToString([]byte(token())),
		"in base32":     b32,
		"in labels":     b32[:9] + "." + b32[9:20] + "." + b32[20:],
		"random":        "q8z7r4m1x9w2d6kt",
		"random, apart": "q8z7r4m1.x9w2d6kt",
	} {
		for _, domain := range []string{"example.com", "example.net"} {
			host := labels + "." + domain
			refused := name != "as it stands" // dashes for underscores are another value, with pieces of eleven
			if code := lookup(t, r, host); refused != (code == dnsmessage.RCodeNameError) {
				t.Errorf("%s: the resolver says %v", host, code)
			}
			response, err := client.Get("https://" + host + "/")
			if err != nil { // a connection that is passed through is cut
				if !refused && domain == "example.com" {
					t.Errorf("%s: %v", host, err)
				}
				continue
			}
			_ = response.Body.Close()
			if refused != (response.StatusCode == http.StatusForbidden) {
				t.Errorf("%s: %d", host, response.StatusCode)
			}
		}
	}
	for _, host := range []string{"www.example.com", "my-bucket-123456789.example.com", "a.b.c.example.com", "eu-central-1.internal.example.com"} {
		if code := lookup(t, r, host); code != dnsmessage.RCodeSuccess {
			t.Errorf("%s is an ordinary name: %v", host, code)
		}
	}
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	cut := 0
	for _, e := range r.events(t, audit.Filter{}) {
		if e.Kind == "connect" && e.Layer == "dlp" && e.Host == "*.example.net" {
			cut++
		}
	}
	if cut < 5 {
		t.Errorf("of five connections that are passed through %d were refused for their labels", cut)
	}
	log := string(must[[]byte](t)(os.ReadFile(r.auditLog)))
	for _, part := range []string{b32[:20], hex.EncodeToString([]byte(token()))[:20], "q8z7r4m1x9w2d6kt"} {
		if strings.Contains(log, part) {
			t.Errorf("the log holds the labels: %s", log)
		}
	}
}

func TestASecretInPiecesOfSeveralRequestsIsFound(t *testing.T) {
	secrets := map[string]string{"known": "Xq7-mZ2w_Lr9Kd4Tb8Vn1Hs6Jc3Pf5Gy", "pattern": githubToken()}
	for kind, value := range secrets {
		for _, size := range []int{1, 4, 6, 11} {
			for place, try := range map[string]func(c *http.Client, n int, piece string) int{
				"query": func(c *http.Client, _ int, piece string) int {
					status, _ := send(t, c, "https://example.com/x?q="+piece, "")
					return status
				},
				"path": func(c *http.Client, _ int, piece string) int {
					status, _ := send(t, c, "https://example.com/x/"+piece, "")
					return status
				},
				"JSON": func(c *http.Client, n int, piece string) int {
					status, _ := send(t, c, "https://example.com/x", fmt.Sprintf(`{"n":%d,"part":%q,"text":"some words"}`, n, piece), "Content-Type", "application/json")
					return status
				},
				"other hosts": func(c *http.Client, n int, piece string) int {
					status, _ := send(t, c, fmt.Sprintf("https://%s.example.com/x?k=%s", []string{"a", "b", "c"}[n%3], piece), "")
					return status
				},
				"hex": func(c *http.Client, _ int, piece string) int {
					status, _ := send(t, c, "https://example.com/x?q="+hex.EncodeToString([]byte(piece)), "")
					return status
				},
			} {
				if place != "query" && size != 4 && size != 6 {
					continue // the others are the same code
				}
				if place == "other hosts" && size < 4 || kind == "pattern" && (place == "hex" || place == "other hosts") && size != 4 {
					continue // that is beyond what is promised
				}
				w := newWire(t, nil)
				r, ready := serving(t, false, map[string]string{"env:K": secrets["known"]}, w.route("example.com", policy.DLP{OnMatch: "block"}), w.route("*.example.com", policy.DLP{OnMatch: "block"}))
				client := agent(t, r, ready)
				refused, n := false, 0
				for rest := value; rest != "" && !refused; n++ {
					piece := rest[:min(size, len(rest))]
					rest = rest[len(piece):]
					refused = try(client, n, piece) == http.StatusForbidden
				}
				if !refused {
					t.Errorf("%s in pieces of %d in the %s: all of it left", kind, size, place)
				}
				if status, answer := send(t, client, "https://example.com/x?page=2", `{"ordinary":"request"}`, "Content-Type", "application/json"); status != 200 {
					t.Errorf("afterwards an ordinary request: %d %s", status, answer)
				}
				r.conn.Close()
				r.ends(t)
			}
		}
	}
}
