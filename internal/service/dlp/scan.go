package dlp

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unicode/utf8"
)

const (
	maxDepth = 10      // decodings on top of each other
	maxGuess = 3       // of them such as nothing in the text asked for
	maxWork  = 8 << 20 // decoded bytes of one window, besides workRatio
	// workRatio is how many decoded bytes one byte may cost: four alignments of base64, turned
	// twice, come to nine.
	workRatio = 48
)

// Guesses on guesses are looked at as long as they come to so many bytes, and to so many of a zone's, each
// counted as so many more. Tables of numbers would lead to more of them than anyone can look at.
const (
	guessBase  = 8 << 10
	guessRatio = 2
	perGuess   = 64
)

// scan looks at one window: a text and everything that can be decoded from it.
type scan struct {
	e      *Engine
	t      *tables
	use    Detectors
	seed   maphash.Seed
	seen   map[uint64]struct{}
	work   int
	shared *shared // with all that is unpacked of the body
	// spareWork is of the work what does not depend on the window's length.
	spareWork int
	spare     int // bytes of guesses on guesses that may still be looked at, in the zone at hand
	place     string
	base      int64
	out       []Finding
	more      bool // the stream goes on behind this window

	// Scratch space that the views on their way share, each behind the last.
	marks []mark
	packs []int
	hits  []ruleAt

	whole  []byte // what is being glued
	turned [combinedBy]byte
	mixed  mixedRuns
}

// view is a text on its way to plain: the window itself or something decoded from it.
type view struct {
	text   []byte
	at     int // of text, in the whole of which it is a zone
	steps  []string
	lo, hi int  // what it came from, in the window
	guess  int  // how many of the steps nothing in the text asked for
	leaf   bool // it is not turned or decoded any more
	ends   bool // it ends where the window does
	amid   bool // it was glued of what stands amidst noise
}

func (e *Engine) window(text []byte, base int64, place string, use Detectors, more bool) []Finding {
	s := &scan{e: e, t: e.table(), use: use, seed: maphash.MakeSeed(), place: place, spareWork: maxWork, shared: &shared{left: unpackBase + unpackRatio*int64(len(text))}}
	s.window(text, base, more)
	return s.out
}

// window looks at one window. It keeps where compressed data may begin in packs.
func (s *scan) window(text []byte, base int64, more bool) {
	s.base, s.more = base, more
	s.out, s.marks, s.packs = nil, s.marks[:0], s.packs[:0]
	clear(s.seen)
	s.work = s.spareWork + workRatio*len(text)
	s.look(view{text: text, hi: len(text), ends: true})
}

// Scan looks at a whole text, of which it is all.
func (e *Engine) Scan(text []byte, place string, use Detectors) []Finding {
	return e.window(text, 0, place, use, false)
}

func (s *scan) look(v view) {
	m, p := len(s.marks), len(s.packs)
	s.marks, s.packs = survey(v.text, v.guess > 0, s.marks, s.packs)
	marks, packs := s.marks[m:], s.packs[p:]
	s.match(v, marks)
	if s.use.Patterns {
		s.phrases(v)
	}
	if s.use.Entropy {
		s.entropy(v)
	}
	if v.guess == 0 || len(packs) > 0 || anyOf(marks)&markRunes != 0 || unlike(v.text) || plausible(v.text, v.steps[len(v.steps)-1]) {
		s.decode(v, marks, packs)
	}
	if v.guess == 0 && len(v.text) > tiny && (len(v.steps) > 0 || len(v.text) > maxCombined) {
		s.combinedFar(v, v.text)
	}
	s.marks = s.marks[:m]
	if len(v.steps) > 0 {
		s.packs = s.packs[:p]
	}
}

// child takes what a decoder made of text[lo:hi].
func (s *scan) child(v view, lo, hi int, out []byte, step string) {
	if len(out) < 6 {
		return
	}
	if !worth(out) {
		s.noise(v, lo, hi, out, step)
		return
	}
	s.follow(v, lo, hi, out, step)
}

// perhaps takes what a decoder made of a text that did not look as if it were for that decoder: at
// another alignment, turned, glued. Such guesses lead on only so far, or they would find themselves.
func (s *scan) perhaps(v view, lo, hi int, out []byte, step string) {
	if v.guess >= maxGuess || len(out) < 6 || !worth(out) {
		return
	}
	if v.guess > 0 {
		if s.spare -= len(out) + perGuess; s.spare < 0 {
			return
		}
	}
	v.guess++
	s.follow(v, lo, hi, out, step)
}

// next is what text[lo:hi] was decoded to, without the text.
func (v view) next(lo, hi int, step string) view {
	n := view{lo: v.lo, hi: v.hi, guess: v.guess, ends: v.ends && hi == len(v.text), amid: v.amid}
	if len(v.steps) == 0 {
		n.lo, n.hi = v.at+lo, v.at+hi
	}
	n.steps = append(slices.Clip(v.steps), step)
	return n
}

// follow looks at a text that was not looked at before.
func (s *scan) follow(v view, lo, hi int, out []byte, step string) {
	if (v.guess > 0 || len(out) > tiny) && s.idle(v, out, v.guess > 0, step) {
		s.work -= len(out) / idleCost
		return
	}
	sum := maphash.Bytes(s.seed, out)
	if s.seen == nil {
		s.seen = map[uint64]struct{}{}
	}
	if _, ok := s.seen[sum]; ok {
		return
	}
	s.seen[sum] = struct{}{}
	if len(v.steps) >= maxDepth {
		s.limit(v, RuleDepth)
		return
	}
	if s.work -= len(out); s.work < 0 {
		s.limit(v, RuleWork)
		return
	}
	next := v.next(lo, hi, step)
	next.text = out
	s.look(next)
}

// idleCost is how many times less it takes to see that a text is idle than to look at it.
const idleCost = 8

// idle reports whether looking at a text would come to nothing: no pattern begins in it, no phrase, and
// nothing is for the decoders. It is what look does, without what look needs for it.
func (s *scan) idle(v view, p []byte, guess bool, step string) bool {
	m, n := len(s.marks), len(s.packs)
	s.marks, s.packs = survey(p, guess, s.marks, s.packs)
	is := anyOf(s.marks[m:])
	busy := len(s.packs) > n || is&markRunes != 0 || unlike(p) || !guess && len(p) > tiny && uneven(p) || s.use.Entropy ||
		s.hopeful(v, p, s.marks[m:], guess, step) || s.phrased(p)
	s.marks, s.packs = s.marks[:m], s.packs[:n]
	return !busy && (is&markOdd == 0 || guess && !plausible(p, step))
}

// hopeless is idle for a text of which the decoders would make nothing.
func (s *scan) hopeless(v view, p []byte, guess bool, step string) bool {
	m, n := len(s.marks), len(s.packs)
	s.marks, s.packs = survey(p, guess, s.marks, s.packs)
	is := s.hopeful(v, p, s.marks[m:], guess, step)
	s.marks, s.packs = s.marks[:m], s.packs[:n]
	return !is
}

// hopeful reports whether match would look closer at a text that a step made of v's.
func (s *scan) hopeful(v view, p []byte, marks []mark, guess bool, step string) (is bool) {
	if !s.t.grams.holds(p, s.t.fold) {
		return false
	}
	next := v.next(0, len(v.text), step)
	if next.text = p; guess {
		next.guess = max(1, next.guess)
	}
	s.mixed.reset()
	s.t.grams.find(p, 0, len(p), s.t.fold, func(at int, what any) {
		hit, rule := what.(ruleHit)
		is = is || !rule || !s.dismissed(next, marks, at, hit)
	})
	return is
}

// noise is what a decoder made that is no text: most often a wrong guess, else packed without a
// mark, or combined with a byte.
// It reports whether it did anything.
func (s *scan) noise(v view, lo, hi int, out []byte, step string) bool {
	if len(out) < minRun || len(v.steps) >= maxDepth || v.guess >= maxGuess {
		return false
	}
	next := v.next(lo, hi, step)
	if len(out) > maxCombined {
		s.combinedFar(next, out)
		return true
	}
	s.combined(next, out)
	if plain := inflated(out); plain != nil {
		next.text = out
		s.perhaps(next, 0, len(out), plain, "deflate")
	}
	if v.guess == 0 {
		if plain := unbrotli(out); plain != nil {
			next.text = out
			s.perhaps(next, 0, len(out), plain, "br")
		}
	}
	return true
}

func (s *scan) limit(v view, rule string) {
	for _, f := range s.out {
		if f.Rule == rule {
			return
		}
	}
	s.out = append(s.out, Finding{Rule: rule, Place: s.place, Steps: v.steps, Offset: s.base + int64(v.lo), Span: v.hi - v.lo})
}

// worth drops what a wrong guess decodes to: noise without eight bytes of a token in a row and that does not read as text, or rulers of one sign.
func worth(p []byte) bool {
	run, changes := 0, 0
	for i, b := range p {
		if tokenByte[b] {
			if run++; i > 0 && b != p[i-1] && wordByte(b) {
				changes++
			}
			if run >= 8 && changes >= 4 {
				return true
			}
			continue
		}
		run, changes = 0, 0
		if b == 0 && i > 16 && p[i-2] == 0 && p[i-4] == 0 && p[i-1] != 0 && p[i-3] != 0 {
			return true
		}
	}
	return magic(p) != "" || len(p) >= 16 && legible(p) || opening(p) != ""
}

// legible reports whether p begins as text does, and not as a ruler: no wrong guess is that lucky.
func legible(p []byte) bool {
	p = p[:min(len(p), 64)]
	turns := 0
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			if kinds[p[i]]&isText == 0 {
				return false
			}
			if i > 0 && p[i] != p[i-1] {
				turns++
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError {
			return turns >= 8 && !utf8.FullRune(p[i:])
		}
		i, turns = i+n, turns+1
	}
	return turns >= 8
}

var tokenByte = func() (t [256]bool) {
	for b := range 256 {
		c := byte(b)
		t[b] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '+' || c == '/' || c == '=' || c == '.' || c == ':' || c == '%' || c == '\\' || c == '&' || c == '#' || c == ';'
	}
	return t
}()

// ruleAt is a keyword's place.
type ruleAt struct {
	ruleHit
	at int
}

// match looks for secrets in the text of v as it stands.
func (s *scan) match(v view, marks []mark) {
	first := len(s.hits)
	s.mixed.reset()
	stretches(marks, func(lo, hi int, calm bool) {
		s.keywords(v, marks, lo*block, min(len(v.text), hi*block), calm)
	})
	// Rule by rule, each keyword's places in their order.
	for i := first; i < len(s.hits); i++ {
		k := s.hits[i].ruleHit
		if k.rule == nil {
			continue
		}
		places := []int{s.hits[i].at}
		for j := i + 1; j < len(s.hits); j++ {
			if h := &s.hits[j]; h.rule == k.rule && h.turn == k.turn {
				places = append(places, h.at)
				h.rule = nil
			}
		}
		s.regions(v, k, places)
	}
	s.hits = s.hits[:first]
}

// nearby is within how many blocks of a keyword something has to look drawn; see near.
const nearby = 4

// stretches calls do with the blocks from lo to hi that hold text, in pieces of which all is near to
// something that looks drawn, or to a number, or nothing is.
func stretches(marks []mark, do func(lo, hi int, calm bool)) {
	begin, calm := -1, false
	drawn := nearby // the last block that is near to one that looks drawn, or to the text's beginning
	for b := range min(len(marks), nearby) {
		if marks[b]&(markDrawn|markNumber) != 0 {
			drawn = b + nearby
		}
	}
	for b, is := range marks {
		if b+nearby >= len(marks)-1 || marks[b+nearby]&(markDrawn|markNumber) != 0 {
			drawn = b + 2*nearby
		}
		text := is&markText != 0 || b+1 < len(marks) && marks[b+1]&markText != 0
		if begin >= 0 && (!text || calm != (b > drawn)) {
			do(begin, b, calm)
			begin = -1
		}
		if text && begin < 0 {
			begin, calm = b, b > drawn
		}
	}
	if begin >= 0 {
		do(begin, len(marks), calm)
	}
}

// keywords collects what stands in text[lo:hi], and looks at the bottle's own secrets at once.
func (s *scan) keywords(v view, marks []mark, lo, hi int, calm bool) {
	find := s.t.grams.find
	if calm {
		find = s.t.calm.find
	}
	find(v.text, lo, hi, s.t.fold, func(at int, what any) {
		switch hit := what.(type) {
		case knownHit:
			if s.use.Known && !s.known(v, at, hit) {
				marks[at/block] |= markOdd // a part: the others may stand around it
			}
		case ruleHit:
			if s.dismissed(v, marks, at, hit) {
				return
			}
			s.hits = append(s.hits, ruleAt{hit, at})
			if hit.opposite != "" && !v.leaf && bytes.HasPrefix(v.text[at:], []byte(hit.opposite)) {
				hit.turn = swapped
				s.hits = append(s.hits, ruleAt{hit, at})
			}
		}
	})
}

const (
	before = 160 // bytes of a match before its keyword
	reach  = 640 // and after it; a match that touches the end is tried again with more
)

func (s *scan) regions(v view, k ruleHit, hits []int) {
	far := reach
	if k.rule.Long {
		far = overlap
	}
	back, ahead := before, far
	if k.rule.Glued && !k.rule.Long {
		back, ahead = 48, 256
	}
	if k.turn == reversed {
		back, ahead = ahead, back
	}
	for i := 0; i < len(hits); {
		lo, hi := max(0, hits[i]-back), min(len(v.text), hits[i]+ahead)
		for i++; i < len(hits) && hits[i]-back <= hi; i++ {
			hi = min(len(v.text), hits[i]+ahead)
		}
		s.region(v, k, lo, hi)
	}
}

func (s *scan) region(v view, k ruleHit, lo, hi int) {
	for {
		text := v.text[lo:hi]
		if k.turn != straight {
			text = k.turn.apply(text)
		}
		var found [][2]int
		touched := k.rule.Find(text, func(a, b int) { found = append(found, [2]int{a, b}) })
		if k.turn == reversed && lo > 0 && touched {
			lo = max(0, lo-4*(hi-lo))
			continue
		}
		if k.turn != reversed && hi < len(v.text) && touched {
			hi = min(len(v.text), hi+4*(hi-lo))
			continue
		}
		for _, f := range found {
			a, b, value := f[0], f[1], text[f[0]:f[1]]
			if k.rule.Spelled && (v.guess > 0 && wordlike(value) || k.turn == swapped && digitsIn(value) < 2 || v.leaf && digitsIn(value) == 0) {
				continue
			}
			if k.turn == reversed {
				a, b = len(text)-b, len(text)-a
			}
			if k.chance(v, lo+a, lo+b, value) {
				continue
			}
			s.add(v, lo+a, lo+b, k.rule.ID, k.turn.String(), value)
		}
		return
	}
}

// known reports whether enough of a secret stands there.
func (s *scan) known(v view, at int, hit knownHit) bool {
	k := &s.t.secrets[hit.secret]
	lo, hi, matched := k.match(v.text, at, hit)
	least, step := k.least, hit.form.String()
	if hit.form >= formHex {
		least -= 2 // the groups at both ends may be cut
	} else {
		matched -= k.public(v.text[lo:hi], hit.form)
	}
	if matched < least {
		if matched < min(anchor, k.least) || !s.use.Pieces.part(k, hit.at, anchor) {
			return false
		}
		step = stepPiece
	}
	s.add(v, lo, hi, k.rule(), step, []byte(k.value))
	return true
}

// add records a finding. One that ends where a window ends is left to the next window, which
// sees it whole.
func (s *scan) add(v view, lo, hi int, rule, step string, value []byte) {
	if s.more && v.ends && hi == len(v.text) {
		return
	}
	f := Finding{Rule: rule, Place: s.place, Steps: v.steps, Length: len(value), Fingerprint: s.e.fingerprint(value)}
	if step != "" {
		f.Steps = append(slices.Clip(v.steps), step)
	}
	if s.use.Allow != nil && s.use.Allow(f) {
		return
	}
	if len(v.steps) == 0 {
		f.Offset, f.Span = s.base+int64(lo), hi-lo
	} else {
		f.Offset, f.Span = s.base+int64(v.lo), v.hi-v.lo
	}
	for i, old := range s.out {
		if old.Rule == f.Rule && old.Fingerprint == f.Fingerprint && old.Offset == f.Offset {
			s.out[i].Span = min(old.Span, f.Span) // what is replaced is looked at again
			return
		}
	}
	s.out = append(s.out, f)
}
