package egress_test

import (
	"context"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ca"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// atAnAddress is a proxy at a port of this machine, for clients that are programs: each connection
// meant to go to 127.0.0.1 at that port, which a route allows. It returns the port.
func atAnAddress(t *testing.T, up *upstream, limits egress.Limits) (port int, roots string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(listener.Addr().String())
	authority, err := ca.New("bottle", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	roots = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, authority.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	// Where no name is asked for, the library's test server shows a certificate of its own.
	trust := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw}))
	server, err := egress.New(egress.Config{
		Policy: policy.Set{Routes: []policy.Route{{Host: "127.0.0.1", Ports: []uint16{at.Port()}, ConnectTo: up.address(), UpstreamCA: trust}}},
		Limits: limits,
	}, egress.Deps{
		Listeners: []egress.Listener{{Listener: listener, Destination: func(net.Conn) (netip.AddrPort, bool) { return at, true }}},
		CA:        authority, Audit: &records{}, OwnAddresses: []netip.Addr{},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return int(at.Port()), roots
}

// h2specResults is what h2spec writes as JUnit.
type h2specResults struct {
	Suites []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Package string    `xml:"package,attr"`
			Name    string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// stricter are the cases in which the front departs from the suite, which is of RFC 7540, by
// refusing in another way than the suite expects: duplicate settings end the connection, as they
// serve floods only, and a connection-specific field is answered 400, as RFC 9113 §8.1.1 allows.
func stricter() []string {
	return []string{
		"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
		"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field",
		`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`,
	}
}

// TestH2Spec runs the public conformance suite (github.com/summerwind/h2spec) against our front.
func TestH2Spec(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		if built := os.Getenv("BOT_BOTTLE_TEST_H2SPEC"); built != "" { // where modules cannot be had
			return exec.CommandContext(t.Context(), built, args...)
		}
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-modfile=tools/h2spec/go.mod", "h2spec"}, args...)...)
		cmd.Dir = root
		return cmd
	}
	need.Require(t, need.H2, runs(command("--version")))
	up := newUpstream(t, true, true, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("an answer ", 100))
	})
	port, _ := atAnAddress(t, up, egress.Limits{})
	report := filepath.Join(t.TempDir(), "report.xml")
	out, runErr := command("-h", "127.0.0.1", "-p", fmt.Sprint(port), "-t", "-k", "-o", "5", "-j", report).CombinedOutput()
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v %v\n%s", err, runErr, out)
	}
	var results h2specResults
	if err := xml.Unmarshal(raw, &results); err != nil {
		t.Fatal(err)
	}
	ran, departed := 0, []string{}
	for _, suite := range results.Suites {
		for _, c := range suite.Cases {
			ran++
			if c.Failure == nil && c.Error == nil {
				continue
			}
			departed = append(departed, c.Package+": "+c.Name)
		}
	}
	t.Logf("%d cases, %d depart", ran, len(departed))
	if diff := cmp.Diff(stricter(), departed, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("what departs from the suite is not what is known to (-known +now):\n%s", diff)
	}
	if ran < 140 {
		t.Errorf("only %d cases ran\n%s", ran, out)
	}
}

func runs(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s; run scripts/setup test", err, out)
	}
	return nil
}

// TestOtherClientsOfHTTP2 runs clients of other makings: nghttp2's, and curl's with nghttp2 inside.
func TestOtherClientsOfHTTP2(t *testing.T) {
	up := newUpstream(t, true, true, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%s %s got %d bytes\n", r.Proto, r.Method, n)
	})
	port, roots := atAnAddress(t, up, egress.Limits{})
	url := fmt.Sprintf("https://127.0.0.1:%d/", port)
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, make([]byte, 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nghttp", url}, "HTTP/2.0 GET got 0 bytes"},
		{[]string{"nghttp", "-d", body, url}, "HTTP/2.0 POST got 300000 bytes"},
		{[]string{"nghttp", "-m", "20", "-p", "200", url}, "HTTP/2.0 GET got 0 bytes"},
		{[]string{"nghttp", "--continuation", "-H", "x-long: " + strings.Repeat("v", 20_000), url}, "HTTP/2.0 GET"},
		{[]string{"h2load", "-n", "500", "-c", "5", "-m", "20", url}, "500 succeeded, 0 failed"},
		{[]string{"h2load", "-n", "50", "-c", "5", "-m", "5", "-d", body, url}, "50 succeeded, 0 failed"},
		{[]string{"curl", "-sS", "--http2", "--cacert", roots, url}, "HTTP/2.0 GET got 0 bytes"},
		{[]string{"curl", "-sS", "--http2", "--cacert", roots, "--data-binary", "@" + body, url}, "HTTP/2.0 POST got 300000 bytes"},
		{[]string{"curl", "-sS", "--http2", "--cacert", roots, "-H", "Expect: 100-continue", "--data-binary", "@" + body, url}, "POST got 300000 bytes"},
		{[]string{"curl", "-sS", "--http2", "--cacert", roots, "-I", url}, "HTTP/2 200"},
		{[]string{"curl", "-sS", "--http1.1", "--cacert", roots, url}, "GET got 0 bytes"},
	} {
		t.Run(strings.Join(c.args[:2], " "), func(t *testing.T) {
			path, err := exec.LookPath(c.args[0])
			need.Require(t, need.H2, err)
			out, err := exec.CommandContext(t.Context(), path, c.args[1:]...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s, want %q", err, out, c.want)
			}
		})
	}
}
