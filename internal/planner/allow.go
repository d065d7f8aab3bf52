package planner

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// allowances refuses an exception from scanning that names a rule which does not exist: it would
// never hold, and nobody would know.
func (m *maker) allowances() {
	var known []string
	for _, r := range m.out.Plan.Egress.Routes {
		for _, a := range r.DLP.Allow {
			if a.Rule == "" || strings.HasPrefix(a.Rule, "known-secret:") {
				continue
			}
			if known == nil {
				known = rules.Names()
			}
			if !slices.Contains(known, a.Rule) {
				m.problem(fault.Invalid, "bot-bottle log names the rule of what was refused",
					"egress.routes.%s.dlp.allow: there is no rule %q", r.Host, a.Rule)
			}
		}
	}
}
