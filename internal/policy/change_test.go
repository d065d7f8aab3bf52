package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

func TestWhatAProviderBroughtStays(t *testing.T) {
	key := &policy.Auth{Scheme: "Bearer", TokenRef: "PROVIDER_KEY"}
	api := policy.Route{Host: "api.provider.example", Auth: key, Owner: "claude"}
	below := policy.Route{Host: "*.cdn.provider.example", Owner: "claude"}
	own := policy.Route{Host: "own.example", Auth: &policy.Auth{Scheme: "Bearer", TokenRef: "OWN_KEY"}}
	old := policy.Set{Routes: []policy.Route{api, below, own}}
	with := func(routes ...policy.Route) policy.Set { return policy.Set{Routes: routes} }
	moved, bare := api, api
	moved.ConnectTo, bare.Auth = "127.0.0.1:9", nil
	for what, c := range map[string]struct {
		set  policy.Set
		says string // "" where it may be
	}{
		"nothing":                        {old, ""},
		"another order":                  {with(own, below, api), ""},
		"one more":                       {with(api, below, own, policy.Route{Host: "new.example"}), ""},
		"one less":                       {with(api, below), ""},
		"the bottle's own credential":    {with(api, below, own, policy.Route{Host: "b.example", Auth: own.Auth}), ""},
		"a name above the owned one":     {with(api, below, own, policy.Route{Host: "*.provider.example"}), ""},
		"the provider's is gone":         {with(below, own), "stays as it is"},
		"the provider's leads elsewhere": {with(moved, below, own), "stays as it is"},
		"the provider's is bare":         {with(bare, below, own), "stays as it is"},
		"a second one for its host":      {with(api, below, own, policy.Route{Host: "api.provider.example"}), "take api.provider.example over"},
		"a nearer one for its wildcard":  {with(api, below, own, policy.Route{Host: "x.cdn.provider.example"}), "over from the provider"},
		"a nearer wildcard":              {with(api, below, own, policy.Route{Host: "*.x.cdn.provider.example"}), "over from the provider"},
		"its credential elsewhere":       {with(api, below, own, policy.Route{Host: "evil.example", Auth: key}), "cannot use the credential"},
		"another one in its name":        {with(api, below, own, policy.Route{Host: "evil.example", Owner: "claude"}), "cannot be the provider"},
		"one of its twice":               {with(api, api, below, own), "cannot be the provider"},
		"another proxy":                  {policy.Set{Routes: old.Routes, UpstreamProxy: "literal:http://p.example"}, "proxy"},
	} {
		err := policy.CheckChange(old, c.set)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCompareCountsEqualRoutes(t *testing.T) {
	a, b := policy.Route{Host: "a.example"}, policy.Route{Host: "b.example", Ports: []uint16{}}
	d := policy.Compare(policy.Set{Routes: []policy.Route{a, a, b}}, policy.Set{Routes: []policy.Route{{Host: "b.example"}, a}})
	hosts := func(routes []policy.Route) (out []string) {
		for _, r := range routes {
			out = append(out, r.Host)
		}
		return out
	}
	if !slices.Equal(hosts(d.Removed), []string{"a.example"}) || len(d.Added) != 0 {
		t.Errorf("%+v", d)
	}
}
