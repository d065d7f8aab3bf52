package sidecar_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// TestARenewedCredentialIsUsedAndKnown replaces a value while requests go on: the next one carries
// the new value, and neither the new nor the old one leaves by anything but its header.
func TestARenewedCredentialIsUsedAndKnown(t *testing.T) {
	r := start(t)
	r.hand(t)
	addr, ca := upstream(t)
	ready, err := r.client.Configure(t.Context(), config(addr, ca), secrets())
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	client := agent(t, r, ready)
	renewed := strings.Join([]string{"an", "other", "value", "since", "now"}, "_")
	send := func(value string) int {
		response, err := client.Post("https://example.com/x", "text/plain", strings.NewReader("here it is: "+value))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if status := send(renewed); status == http.StatusForbidden {
		t.Fatal("the value is known before it was told")
	}
	if _, body := get(t, client, "https://example.com/x"); body != "Bearer "+token() {
		t.Fatalf("before: %q", body)
	}
	if err := r.client.Renew(t.Context(), "UPSTREAM_TOKEN", secret.New(renewed)); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, client, "https://example.com/x"); body != "Bearer "+renewed {
		t.Errorf("after: %q", body)
	}
	for _, value := range []string{renewed, token()} {
		if status := send(value); status != http.StatusForbidden {
			t.Errorf("a value left: %d", status)
		}
	}
	for ref, value := range map[string]string{"NO_SUCH_TOKEN": "x", "UPSTREAM_TOKEN": ""} {
		if err := r.client.Renew(t.Context(), ref, secret.New(value)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, body := get(t, client, "https://example.com/x"); body != "Bearer "+renewed {
		t.Errorf("after a refused renewal: %q", body)
	}
	if err := r.client.Note(t.Context(), audit.Event{Kind: "note", Message: "it is " + renewed + "."}); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.ends(t)
	var told []string
	for _, e := range r.events(t, audit.Filter{}) {
		told = append(told, e.Message)
	}
	all := strings.Join(told, "\n")
	if strings.Contains(all, renewed) || !strings.Contains(all, "credential renewed") || !strings.Contains(all, "it is ***.") {
		t.Errorf("the log says:\n%s", all)
	}
}

func TestOnlyTheOwnerRenews(t *testing.T) {
	r, _ := configured(t)
	operator := control.NewClient(must[net.Conn](t)(net.Dial("unix", r.status)))
	defer operator.Close()
	if err := operator.Renew(t.Context(), "UPSTREAM_TOKEN", secret.New("something else")); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an operator renews: %v", err)
	}
}
