package dlp

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// lowered is an engine for text that lost its case, as every name in DNS has.
func (e *Engine) lowered() *Engine {
	known := slices.Clone(e.known)
	for i := range known {
		known[i].Value = secret.New(strings.ToLower(known[i].Value.Reveal()))
	}
	low := Keyed(known, nil)
	low.key, low.rules = e.key, e.rules
	return low
}

// Caseless looks at text that has lost its case. A fingerprint is that of the lower-case value.
func (e *Engine) Caseless(text []byte, place string, use Detectors) []Finding {
	use.Pieces = nil
	return e.lower().Scan(text, place, use)
}

// Labels looks at the part of a host name that whoever asks for it chooses: what stands before a
// wildcard's domain. The labels are looked at as they stand and put together, with their case
// lost. A fingerprint is that of the lower-case value.
func (e *Engine) Labels(labels string, use Detectors) []Finding {
	const place = "the host name"
	random := use.Entropy
	use.Entropy, use.Pieces = false, nil
	glued := strings.ReplaceAll(labels, ".", "")
	var found []Finding
	for _, text := range []string{labels, glued} {
		for _, low := range []bool{false, true} {
			engine := e
			if low {
				engine = e.lower()
			}
			for _, f := range engine.Scan([]byte(text), place, use) {
				f.Offset, f.Span = 0, 0
				if !slices.ContainsFunc(found, func(g Finding) bool { return g.Rule == f.Rule }) {
					found = append(found, f)
				}
			}
		}
		if labels == glued {
			break
		}
	}
	if random && len(found) == 0 {
		for _, text := range append(strings.Split(labels, "."), glued) {
			if !drawnLabel(text) {
				continue
			}
			f := Finding{Rule: rules.HighEntropy, Place: place, Length: len(text), Fingerprint: e.fingerprint([]byte(text))}
			if use.Allow == nil || !use.Allow(f) {
				return []Finding{f}
			}
		}
	}
	return found
}

// drawnLabel reports whether a label looks drawn by lot: long, of letters and digits that take
// turns, or of letters that no language puts together.
func drawnLabel(label string) bool {
	if len(label) < 16 {
		return false
	}
	digits, turns, vowels, letters := 0, 0, 0, 0
	digit := false
	for i := range len(label) {
		b := label[i]
		if b == '-' || b == '_' {
			continue
		}
		is := b >= '0' && b <= '9'
		if i > 0 && is != digit {
			turns++
		}
		digit = is
		if is {
			digits++
			continue
		}
		letters++
		if strings.IndexByte("aeiouy", b) >= 0 {
			vowels++
		}
	}
	h := rules.Entropy([]byte(label))
	switch {
	case digits >= 3 && turns*5 >= len(label) && h > 3:
		return true
	case letters >= 20 && vowels*5 < letters && h > 3.2:
		return true
	}
	return false
}
