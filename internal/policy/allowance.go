package policy

import (
	"errors"
	"strings"
)

// Allowance lets a finding of the scanner pass; every field that is set must hold. It names a
// rule or a fingerprint, or both: a path alone would switch the scanner off.
type Allowance struct {
	Rule        string `json:"rule,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"` // 16 hex digits, as the log and the refusal show it
	Path        string `json:"path,omitempty"`        // a prefix of the request's canonical path
}

// Holds reports whether the allowance covers a finding in a request to path.
func (a Allowance) Holds(rule, fingerprint, path string) bool {
	return (a.Rule != "" || a.Fingerprint != "") &&
		(a.Rule == "" || a.Rule == rule) &&
		(a.Fingerprint == "" || a.Fingerprint == fingerprint) &&
		strings.HasPrefix(path, a.Path)
}

// String says what passes, in words.
func (a Allowance) String() string {
	var parts []string
	if a.Rule != "" {
		parts = append(parts, a.Rule)
	}
	if a.Fingerprint != "" {
		parts = append(parts, "["+a.Fingerprint+"]")
	}
	if a.Path != "" {
		parts = append(parts, "at "+a.Path+"*")
	}
	return strings.Join(parts, " ")
}

// Plain reports whether nothing was said, so that every default holds.
func (d DLP) Plain() bool {
	return !d.OutboundOff && !d.InboundOff && d.OnMatch == "" && d.InboundOnMatch == "" &&
		len(d.Outbound)+len(d.Inbound)+len(d.Allow) == 0
}

// Words says what of scanning is not the default, but for what is let pass.
func (d DLP) Words() []string {
	var out []string
	if d.OutboundOff {
		out = append(out, "not scanned outbound")
	} else if len(d.Outbound) > 0 {
		out = append(out, "scanned for "+strings.Join(d.Outbound, ", "))
	}
	if d.OnMatch != "" {
		out = append(out, "on match "+d.OnMatch)
	}
	if d.InboundOff {
		out = append(out, "not scanned inbound")
	}
	if d.InboundOnMatch == "block" {
		out = append(out, "blocks injected instructions")
	}
	return out
}

func checkDLP(d DLP) error {
	for _, a := range d.Allow {
		if a.Rule == "" && a.Fingerprint == "" {
			return errors.New("dlp.allow: an entry names neither a rule nor a fingerprint")
		}
	}
	switch d.InboundOnMatch {
	case "", "alarm", "block":
		return nil
	}
	return errors.New("dlp.inbound_on_match is neither alarm nor block")
}

// scanning is what a route says about its scanner, where that is not the default.
func scanning(r Route) []string {
	d := r.DLP
	if r.TLS == TLSPassthrough {
		return nil
	}
	if r.Owner != "" {
		d.OnMatch = ""
	}
	return d.Words()
}
