package dlp

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"
)

// The window in which pieces of a secret are put together again, whatever comes first.
const (
	MemoryRequests = 1024
	MemoryTime     = 30 * time.Minute
)

const (
	minPiece  = 4    // bytes of a piece that is a whole value
	maxPieces = 4096 // bytes of a secret that are followed; longer ones are found in parts
	stepPiece = "pieces of several requests"
)

// Memory is what one bottle has sent lately, of which no part is a secret by itself. It is
// bounded, and safe for concurrent use.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex // guards all below
	request uint32
	trails  map[string]*trail // by the secret
	series  series
}

// trail tells when each byte of a secret was last seen to leave.
type trail struct {
	request []uint32
	at      []time.Time
}

// NewMemory returns an empty memory. now nil means the clock.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, trails: map[string]*trail{}, series: series{slots: map[string]*slot{}}}
}

// Begin counts a request.
func (m *Memory) Begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.request++
}

// part remembers that n bytes of a secret from at on were seen, and reports whether, with what
// was seen before, enough of it has left to count as the secret.
func (m *Memory) part(k *knownIndex, at, n int) bool {
	if m == nil {
		return false
	}
	if len(k.value) < minPart || len(k.value) > maxPieces {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.trails[k.value]
	if t == nil {
		t = &trail{make([]uint32, len(k.value)), make([]time.Time, len(k.value))}
		m.trails[k.value] = t
	}
	now, lo, hi := m.now(), max(at, publicPrefix(k.value)), min(at+n, len(k.value))
	for i := lo; i < hi; i++ {
		t.request[i], t.at[i] = m.request, now
	}
	fresh := func(i int) bool {
		return !t.at[i].IsZero() && m.request-t.request[i] < MemoryRequests && now.Sub(t.at[i]) < MemoryTime
	}
	for lo > 0 && fresh(lo-1) {
		lo--
	}
	for hi < len(k.value) && fresh(hi) {
		hi++
	}
	return hi-lo >= minPart
}

// Value is one short value of a request and the slot that it stands in, such as "query q".
type Value struct{ Slot, Text string }

// maxValue is how long a value may be to be taken for a piece.
const maxValue = 64

// Values looks at the short values of one request beside those of the requests before it: pieces
// of known secrets from four bytes on in any order, and whatever the values of one slot, or all
// that changed, spell when they are put together in their order.
func (m *Memory) Values(e *Engine, values []Value, place string, use Detectors) []Finding {
	var found []Finding
	use.Pieces = nil
	m.mu.Lock()
	fresh, texts := m.series.add(values, m.now())
	m.mu.Unlock()
	if use.Known && len(fresh) > 0 {
		secrets := e.table().secrets
		for n := range secrets {
			if m.piecesOf(&secrets[n], fresh) {
				found = e.pieced(found, &secrets[n], place, use)
			}
		}
	}
	for _, t := range texts {
		for _, f := range e.joint(t, place, use) {
			f.Steps, f.Offset, f.Span = append(slices.Clip(f.Steps), stepPiece), 0, 0
			if !slices.ContainsFunc(found, f.same) {
				found = append(found, f)
			}
		}
	}
	return found
}

func (f Finding) same(g Finding) bool { return g.Rule == f.Rule && g.Fingerprint == f.Fingerprint }

// joint is what is found in the values together and in neither what was there nor what is new.
func (e *Engine) joint(t joinedText, place string, use Detectors) []Finding {
	found := e.glance(t.text, place, use)
	if len(found) == 0 {
		return nil
	}
	apart := append(e.glance(t.text[:t.fresh], place, use), e.glance(t.text[t.fresh:], place, use)...)
	return slices.DeleteFunc(found, func(f Finding) bool { return slices.ContainsFunc(apart, f.same) })
}

// glance looks at a text as it stands and decodes nothing: it is done for each value of each request.
func (e *Engine) glance(text []byte, place string, use Detectors) []Finding {
	s := &scan{e: e, t: e.table(), use: use, place: place}
	v := view{text: text, hi: len(text), ends: true}
	s.marks, s.packs = survey(text, false, s.marks, s.packs)
	s.match(v, s.marks)
	return s.out
}

// pieced is a finding of a secret that left in pieces.
func (e *Engine) pieced(found []Finding, k *knownIndex, place string, use Detectors) []Finding {
	f := Finding{
		Rule: k.rule(), Place: place, Steps: []string{stepPiece},
		Length: len(k.value), Fingerprint: e.fingerprint([]byte(k.value)),
	}
	if use.Allow != nil && use.Allow(f) {
		return found
	}
	return append(found, f)
}

func (m *Memory) piecesOf(k *knownIndex, values []Value) bool {
	enough := false
	for _, v := range values {
		if len(v.Text) > maxValue {
			continue
		}
		forms(v.Text, func(piece string) {
			if at := strings.Index(k.value, piece); at >= 0 && m.part(k, at, len(piece)) {
				enough = true
			}
		})
	}
	return enough
}

// spells returns what a value says in hex or base64, where that is text.
func spells(value string) string {
	if len(value) < 2 {
		return ""
	}
	trimmed := strings.TrimRight(value, "=")
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		raw, err := decode(trimmed)
		if err == nil && len(raw) > 0 && !slices.ContainsFunc(raw, func(b byte) bool { return b < ' ' || b > '~' }) {
			return string(raw)
		}
	}
	return ""
}

// forms calls piece with every reading of a value that is long enough, and with its parts.
func forms(value string, piece func(string)) {
	each := func(s string) {
		if len(s) >= minPiece {
			piece(s)
			piece(string(reversed.apply([]byte(s))))
		}
	}
	each(value)
	if parts := strings.FieldsFunc(value, func(r rune) bool { return !wordByte(byte(r)) || r == '_' || r >= 0x80 }); len(parts) > 1 {
		for _, p := range parts {
			each(p)
		}
	}
	if len(value) < 6 {
		return
	}
	if raw, err := hex.DecodeString(value); err == nil {
		each(string(raw))
	}
	trimmed := strings.TrimRight(value, "=")
	for _, b64 := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := b64.DecodeString(trimmed); err == nil {
			each(string(raw))
		}
	}
}

// rule names the findings of a secret.
func (k *knownIndex) rule() string {
	if k.Canary {
		return "canary"
	}
	return "known-secret:" + k.Name
}

// public is how much of a text that stands in the secret belongs to its public prefix. Of a
// secret that is hardly longer than that all of it counts.
func (k *knownIndex) public(text []byte, f form) int {
	n := publicPrefix(k.value)
	if n == 0 || len(k.value)-n < k.least {
		return 0
	}
	switch f {
	case formReversed:
		text = reversed.apply(text)
	case formRotated:
		text = rotated.apply(text)
	}
	if !strings.HasPrefix(k.value, string(text)) {
		return 0
	}
	return min(n, len(text))
}

// publicPrefix is how many bytes of a value only say what kind of token it is: nobody keeps them
// secret, and every document about such tokens has them.
func publicPrefix(value string) int {
	for _, p := range publicPrefixes {
		if strings.HasPrefix(value, p) {
			rest := value[len(p):]
			if p != "sk-ant-" {
				return len(p)
			}
			if kind := strings.IndexByte(rest, '-'); kind > 0 && kind <= 10 {
				return len(p) + kind + 1
			}
		}
	}
	return 0
}

var publicPrefixes = []string{
	"sk-ant-", "sk-proj-", "sk-svcacct-", "sk-or-v1-", "github_pat_", "ghp_", "gho_", "ghs_", "ghu_", "glpat-", "npm_", "pypi-AgEIcHlwaS5vcmc",
	"xoxb-", "xoxp-", "hf_", "AKIA", "sk_live_", "rk_live_", "dckr_pat_", "bbk_", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.",
	"eyJhbGciOiJSUzI1NiIs", "eyJhbGciOiJIUzI1NiIs", "eyJhbGciOiJFUzI1NiIs", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----",
	"-----BEGIN EC PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----", "postgres://", "postgresql://", "mysql://", "mongodb+srv://", "mongodb://", "https://", "http://", "redis://",
}
