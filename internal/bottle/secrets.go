package bottle

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// secrets names in config every value that the sidecar gets, and returns the values: the
// credentials that it puts in, and what it has to recognise besides.
func (r *running) secrets(config *control.Config) map[string]secret.String {
	values := map[string]secret.String{}
	for ref, v := range r.Tokens {
		config.SecretNames = append(config.SecretNames, ref)
		values[ref] = v
	}
	guard := func(ref string, v secret.String) {
		config.Guarded = append(config.Guarded, ref)
		values[ref] = v
	}
	asked := map[string]bool{}
	for _, e := range r.Plan.Env {
		asked[e.Name] = e.Source == "ask"
	}
	for name, v := range r.Env {
		if !v.Empty() && (asked[name] || !secret.Ordinary(name, v)) {
			guard("env:"+name, v)
		}
	}
	for name, v := range r.Guarded {
		if !v.Empty() {
			guard("host:"+name, v)
		}
	}
	if !r.Key.Empty() {
		guard(control.KeyRef, r.Key)
		guard(control.CanaryRef, secret.New(canary(r.Key, r.Plan.ID)))
	}
	return values
}

// canaryPath is where the bait lies, besides the variable BOT_BOTTLE_CANARY.
const canaryPath = plan.Home + "/.bot-bottle-canary"

// canary is one bottle's bait: the same for each of its runs, told to nobody else, and so that
// none can be made without the key.
func canary(key secret.String, id instance.ID) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte("canary of " + string(id)))
	out := []byte("bbk_")
	for _, b := range mac.Sum(nil) {
		out = append(out, alphabet[int(b)%len(alphabet)])
	}
	return string(out)
}
