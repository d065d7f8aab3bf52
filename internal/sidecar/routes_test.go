package sidecar_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// TestRacingOperatorsLoseNoChange lets many of them add routes at once, each reading again when
// another one was first.
func TestRacingOperatorsLoseNoChange(t *testing.T) {
	r, _ := configured(t)
	const operators, each = 6, 8
	var all sync.WaitGroup
	for o := range operators {
		all.Go(func() {
			conn, err := net.Dial("unix", r.status)
			if err != nil {
				t.Error(err)
				return
			}
			client := control.NewClient(conn)
			defer client.Close()
			for i := range each {
				for {
					live, err := client.Routes(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					live.Egress.Routes = append(live.Egress.Routes, policy.Route{Host: fmt.Sprintf("r%d.o%d.example", i, o)})
					_, err = client.SetRoutes(t.Context(), live)
					if err == nil {
						break
					}
					if !fault.Is(err, fault.Busy) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	live, err := r.client.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := operators*each + 1; len(live.Egress.Routes) != want || live.Revision != uint64(want) {
		t.Errorf("%d routes at revision %d, want %d", len(live.Egress.Routes), live.Revision, want)
	}
}

func TestAChangeOfTheRoutesIsRecordedWithBeforeAndAfter(t *testing.T) {
	r, _ := configured(t)
	live, err := r.client.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live.Egress.Routes = []policy.Route{{Host: "new.example", Ports: []uint16{8443}, Matches: []policy.Match{{Methods: []string{"GET"}}}}}
	if live, err = r.client.SetRoutes(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	live.Egress.UpstreamProxy = "literal:http://proxy.example:3128"
	if _, err = r.client.SetRoutes(t.Context(), live); !fault.Is(err, fault.Invalid) {
		t.Errorf("another proxy: %v", err)
	}
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	events := r.events(t, audit.Filter{Kinds: []string{"lifecycle"}})
	at := slices.IndexFunc(events, func(e audit.Event) bool { return strings.HasPrefix(e.Message, "routes changed") })
	if at < 0 || !slices.Equal(events[at].After, []string{"new.example:8443 GET any path"}) || len(events[at].Before) != 1 ||
		!strings.HasPrefix(events[at].Before[0], "example.com") {
		t.Errorf("%+v", events)
	}
	if at := slices.IndexFunc(events, func(e audit.Event) bool { return e.Message == "routes kept as they were" }); at < 0 || !strings.Contains(events[at].Reason, "proxy") {
		t.Errorf("a refused change leaves no line: %+v", events)
	}
}

func TestTheBottlesLimitsAreEnforced(t *testing.T) {
	r := start(t)
	r.hand(t)
	setup := config(upstream(t))
	setup.Egress.Limits = policy.Limits{TotalSent: 4096}
	ready, err := r.client.Configure(t.Context(), setup, secrets())
	if err != nil {
		t.Fatal(err)
	}
	client := agent(t, r, ready)
	if status, body := get(t, client, "https://example.com/"); status != 200 {
		t.Errorf("within the limit: %d %s", status, body)
	}
	response, err := client.Post("https://example.com/", "text/plain", strings.NewReader(strings.Repeat("word ", 2000)))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode == http.StatusOK || !strings.Contains(string(body), "egress.limits.total_sent") {
		t.Errorf("past the limit: %d %s", response.StatusCode, body)
	}
	live, err := r.client.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live.Egress.Limits = policy.Limits{}
	if _, err := r.client.SetRoutes(t.Context(), live); !fault.Is(err, fault.Invalid) {
		t.Errorf("the limits of a running bottle change: %v", err)
	}
}
