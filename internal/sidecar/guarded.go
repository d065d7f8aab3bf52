package sidecar

import (
	"maps"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// values divides what came with a configuration into the credentials that may be put into
// requests, and what is only recognised. No reference is both.
func values(setup control.Setup) (tokens, guarded *Tokens, err error) {
	mine, rest := map[string]string{}, maps.Clone(setup.Secrets)
	for _, ref := range setup.Config.Guarded {
		if slices.Contains(setup.Config.SecretNames, ref) {
			return nil, nil, fault.New(fault.Invalid, "cannot configure the sidecar: %q is both a credential and guarded", ref)
		}
		if value, ok := rest[ref]; ok {
			mine[ref] = value
			delete(rest, ref)
		}
	}
	if tokens, err = NewTokens(setup.Config.SecretNames, rest); err != nil {
		return nil, nil, err
	}
	guarded, err = NewTokens(setup.Config.Guarded, mine)
	return tokens, guarded, err
}

// known are the secrets of this bottle: each credential, each guarded value, the canary, and what
// stands for credentials inside.
func known(tokens, guarded *Tokens, placeholders []string) []dlp.Known {
	out := tokens.known()
	for _, k := range guarded.known() {
		if k.Name != control.KeyRef {
			k.Canary = k.Name == control.CanaryRef
			out = append(out, k)
		}
	}
	for _, p := range placeholders {
		out = append(out, dlp.Known{Name: "placeholder", Value: secret.New(p), Canary: true})
	}
	return out
}
