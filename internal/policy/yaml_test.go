package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestARouteIsWrittenWithAllOfItsScanning(t *testing.T) {
	for want, dlp := range map[string]policy.DLP{
		"dlp: {outbound_detectors: [entropy], inbound_detectors: [naive_injection_detection], outbound_on_match: block, inbound_on_match: block}": {
			Outbound: []string{"entropy"}, Inbound: []string{"naive_injection_detection"}, OnMatch: "block", InboundOnMatch: "block",
		},
		`dlp: {outbound_detectors: false, inbound_detectors: false}`: {OutboundOff: true, InboundOff: true},
		`dlp: {allow: [{rule: github-pat, path: /v1/}, {fingerprint: "0123456789abcdef"}]}`: {
			Allow: []policy.Allowance{{Rule: "github-pat", Path: "/v1/"}, {Fingerprint: "0123456789abcdef"}},
		},
	} {
		route := policy.Route{Host: "a.example", DLP: dlp}
		if got := route.YAML(); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
