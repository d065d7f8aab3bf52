package dlp

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// dismissed reports whether nothing that the rule finds can stand by its keyword.
func (s *scan) dismissed(v view, marks []mark, at int, hit ruleHit) bool {
	r := hit.rule
	switch {
	case !s.use.Patterns, v.leaf && hit.turn != straight, v.apart(r, at, hit.turn != straight):
		return true
	case r.Weak && (v.guess > 0 || v.leaf || hit.turn != straight), r.Generic && (v.guess > 0 || v.leaf):
		return true
	case r.Generic && !s.names(v, at, hit):
		return true
	case r.Digits > 0 && !numberBy(v.text, at, r.Digits, r.ID != "iban"), r.URL && hit.turn != reversed && !credentials(v.text[at:]):
		return true
	case r.Operated && !operated(v.text, at, hit):
		return true
	}
	if !r.Short && !s.near(v.text, marks, at, hit) {
		return true
	}
	t := r.Tail()
	return t != nil && !tailed(v.text, at, hit, t, marks == nil)
}

// tailed reports whether what every match of a rule has behind its keyword stands there. Where the text
// ends before, it does not, unless the text is a part of one.
func tailed(p []byte, at int, hit ruleHit, t *rules.Tail, part bool) bool {
	step, i := 1, at+hit.size+t.Skip
	if hit.turn == reversed {
		step, i = -1, at-1-t.Skip
	}
	for range t.Least {
		if i < 0 || i >= len(p) {
			return part
		}
		b := p[i]
		if hit.turn == rotated {
			b = rot13(b)
		}
		if !t.Class[b] {
			return false
		}
		i += step
	}
	return true
}

// apart reports whether a view was put together of pieces in a way by which a rule's form comes about by
// itself: what stood between a name and its value is gone, and so is what a turned text's words mean.
func (v view) apart(r *rules.Rule, at int, turned bool) bool {
	n := len(v.steps)
	if n == 0 {
		return false
	}
	switch v.steps[n-1] {
	case stepJoined:
		return r.Named || turned && brief(r)
	case stepBackwards:
		return r.Named || at > 0 && (!r.Distinct || brief(r)) // a token's first piece stands first
	}
	return v.leaf && (slices.Contains(v.steps[:n-1], stepJoined) || slices.Contains(v.steps[:n-1], stepBackwards))
}

// wordlike reports whether a value has no digit and no more rare letters than words have.
func wordlike(value []byte) bool {
	for _, b := range value {
		if b >= '0' && b <= '9' {
			return false
		}
	}
	return rarity(bytes.ToLower(value)) < 9*len(value)
}

func digitsIn(p []byte) int {
	n := 0
	for _, b := range p {
		if b >= '0' && b <= '9' {
			n++
		}
	}
	return n
}

// brief reports whether a rule goes by so few signs that they stand in words once these are turned.
func brief(r *rules.Rule) bool {
	return slices.ContainsFunc(r.Keywords, func(k string) bool { return len(k) < 4 || len(k) == 4 && !strings.ContainsAny(k, "_-.") })
}

// operated reports whether an operator stands behind the name that a keyword is in. The signs are those
// that the rules allow there, and the lengths at least theirs.
func operated(p []byte, at int, hit ruleHit) bool {
	step, end := 1, min(len(p), at+hit.size+64)
	i := at + hit.size
	if hit.turn == reversed {
		step, i, end = -1, at-1, max(-1, at-64)
	}
	for ; i != end; i += step {
		switch b := p[i]; {
		case b == '=', b == '>', b == '|', b == ':', b == '?', b == ',':
			return true
		case !wordByte(b) && b != ' ' && b != '.' && b != '-' && b != '"' && b != '\'' && (b < '\t' || b > '\r'):
			return false
		}
	}
	return i < 0 || i == len(p)
}

// near reports whether a run of bytes that could be a secret stands by a keyword: twelve of a
// token's with a digit or with letters of both cases among them. It spares the rules most words.
func (s *scan) near(p []byte, marks []mark, at int, hit ruleHit) bool {
	lo, hi := max(0, at-48), min(len(p), at+200)
	if hit.turn == reversed {
		lo, hi = max(0, at-200), min(len(p), at+48)
	}
	if hi < len(p) && lo > 0 && marks != nil {
		drawn := mark(0)
		for b := lo / block; b <= hi/block && b < len(marks); b++ {
			drawn |= marks[b]
		}
		if drawn&markDrawn == 0 {
			return false
		}
	}
	if hit.rule.Glued {
		return glue(p, at, hit)
	}
	s.mixed.skip(max(0, at-200))
	return s.mixed.between(p, lo, hi)
}

// mixedRuns remembers where in a text runs stand that could be a secret, as far as it was asked for:
// those who ask go through the text from its beginning to its end.
type mixedRuns struct {
	spans  [][2]int // from where a run could be one to where it ends
	to     int      // as far as was looked
	begins int      // of the run that goes on there
	kinds  uint8
	is     bool
}

func (m *mixedRuns) reset() { *m = mixedRuns{spans: m.spans[:0]} }

// skip leaves out what stands before lo.
func (m *mixedRuns) skip(lo int) {
	if m.to < lo {
		m.to, m.begins, m.is, m.kinds = lo, lo, false, 0
	}
}

// between reports whether such a run stands in p[lo:hi], or one that the text's ends cut off.
func (m *mixedRuns) between(p []byte, lo, hi int) bool {
	for ; m.to < hi; m.to++ {
		b := p[m.to]
		if !tokenByte[b] || b == '\\' {
			m.begins, m.kinds, m.is = m.to+1, 0, false
			continue
		}
		if b >= '0' && b <= '9' {
			m.kinds |= inUpper | inLower
		}
		m.kinds |= class[b] & (inUpper | inLower)
		n := m.to + 1 - m.begins
		switch {
		case m.is:
			m.spans[len(m.spans)-1][1] = m.to + 1
		case n >= 12 && m.kinds == inUpper|inLower || n >= 16 && m.kinds == inUpper:
			m.is = true
			m.spans = append(m.spans, [2]int{m.to, m.to + 1})
		}
	}
	for i := len(m.spans) - 1; i >= 0 && m.spans[i][1] > lo; i-- {
		if m.spans[i][0] < hi {
			return true
		}
	}
	if lo > 0 && hi < len(p) {
		return false
	}
	run := 0
	for i := hi; i > lo && tokenByte[p[i-1]] && p[i-1] != '\\' && run < 12; i-- {
		run++
	}
	return run >= 12
}

// glue reports whether a keyword with which a secret begins stands in a run as long as one.
func glue(p []byte, at int, hit ruleHit) bool { //nolint:cyclop // one count a kind of letter
	digits, uppers, lowers, n := 0, 0, 0, 0
	letters, longest := 0, 0 // in a row
	step := 1
	if hit.turn == reversed {
		at, step = at+hit.size-1, -1
	}
	i := at
	for ; i >= 0 && i < len(p) && n < 64 && solidByte[p[i]]; i, n = i+step, n+1 {
		letters++
		switch c := class[p[i]]; {
		case c&inUpper != 0:
			uppers++
		case c&inLower != 0:
			lowers++
		case p[i] >= '0' && p[i] <= '9':
			digits++
		default:
			letters = 0
		}
		longest = max(longest, letters)
	}
	if i < 0 || i == len(p) {
		return true // more of it may come
	}
	if n < minRun || digits == 0 && (uppers < 3 || lowers < 3) && uppers < 12 && longest < noWord {
		return false
	}
	if hit.rule.Dotted && hit.turn != reversed {
		for i = at; i < len(p) && class[p[i]]&in64 != 0; i++ {
		}
		return i+1 >= len(p) || p[i] == '.'
	}
	return true
}

// noWord is how many letters in a row no word and no name has.
const noWord = 30

// credentials reports whether what follows "://" has a name and a password before a host.
func credentials(p []byte) bool {
	colon := false
	for _, b := range p[3:min(len(p), 260)] {
		switch b {
		case ':':
			colon = true
		case '@':
			return colon
		case '/', '"', '\'', '<', '>', ' ', '\n', '\t', '\r':
			return false
		}
	}
	return len(p) > 260
}

var solidByte = func() (t [256]bool) {
	for b := byte('!'); b <= '~'; b++ {
		t[b] = strings.IndexByte("\"'`<>(),{}[]", b) < 0
	}
	return t
}()

// assigned reports whether what follows a word such as "token" can be a random value that is
// assigned to it: an operator nearby and behind it ten bytes, two of them digits. It spares the
// costliest rule most of its work, and ordinary code most of its false alarms.
func assigned(p []byte, cut bool) bool {
	cut = cut && len(p) <= 240
	p = p[:min(len(p), 240)]
	i := 3
	for ; i < len(p) && i < 44; i++ {
		switch p[i] {
		case '=', ':', '>', ',', '|', '?':
			goto value
		case '\n', '(', ')', '{', '}', ';', '<':
			return false
		}
	}
	return false
value:
	if bytes.HasSuffix(p[:i], []byte("h1")) || bytes.HasSuffix(p[:i], []byte("sha256")) { // go.sum, images
		return false
	}
	for n := 0; i < len(p) && n < 10; i, n = i+1, n+1 {
		switch p[i] {
		case '=', ':', '>', '|', '?', ' ', '\t', '\n', '\r', '\'', '"', '`', ',':
			continue
		}
		break
	}
	start := i
	if bytes.HasPrefix(p[i:], []byte("sha")) {
		return false // a lock file's digest
	}
	for i < len(p) && tokenByte[p[i]] && p[i] != ';' && p[i] != ':' && p[i] != '&' {
		i++
	}
	if cut && i == len(p) {
		return false // the next window sees the whole value
	}
	if bytes.HasSuffix(p[start:i], []byte("...")) {
		return false // a document leaves out the rest
	}
	return random(p[start:i], strong(p)) && !sentence(p[start:i]) && !membered(p[start:i])
}

// sentence reports whether a value is base64 of words with spaces between them. What it says is
// looked at by itself.
func sentence(value []byte) bool {
	value = bytes.TrimRight(value, "=")
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(value)))
	n, err := base64.RawStdEncoding.Decode(raw, value)
	if err != nil || bytes.Count(raw[:n], []byte{' '}) < 2 {
		return false
	}
	return !bytes.ContainsFunc(raw[:n], func(r rune) bool { return r < ' ' && r != '\n' || r > '~' || r >= '0' && r <= '9' })
}

// random reports whether a value looks drawn rather than written: some piece of it, between its
// separators, mixes letters and digits, and the whole is no UUID and no hash in hex.
func random(value []byte, strong bool) bool { //nolint:cyclop // one case a form, in the order they are told apart
	if len(value) < 10 {
		return false
	}
	hexes, pieces := true, 0
	letters, digits, turns := 0, 0, 0
	var last uint8
	for i := 0; i <= len(value); i++ {
		if i == len(value) || value[i] == '-' || value[i] == '_' || value[i] == '.' {
			if letters >= 2 && digits >= 2 && turns >= 3 {
				pieces++
			}
			letters, digits, turns, last = 0, 0, 0, 0
			continue
		}
		b := value[i]
		hexes = hexes && class[b]&inHex != 0
		kind := class[b] & (inUpper | inLower)
		if kind != 0 {
			letters++
		} else {
			digits++
		}
		if kind != last && last|kind != 0 {
			turns++
		}
		last = kind
	}
	uuid := len(value) >= 36 && value[8] == '-' && value[13] == '-' && value[18] == '-' && value[23] == '-'
	hash := hexes && (len(value) == 32 || len(value) == 40 || len(value) == 64 || len(value) == 96 || len(value) == 128)
	return strong && (uuid || hash) || pieces > 0 && !uuid && !hash
}

// strong reports whether a word says by itself that a secret follows, be it a UUID or a hash.
func strong(p []byte) bool {
	low := bytes.ToLower(p[:min(len(p), 10)])
	for _, word := range []string{"secret", "credential", "passw", "api_token", "api_key", "apikey", "api-key"} {
		if bytes.HasPrefix(low, []byte(word)) {
			return true
		}
	}
	return false
}
