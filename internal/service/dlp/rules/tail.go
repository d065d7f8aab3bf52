package rules

import (
	"regexp/syntax"
	"strings"
)

// Tail is what every match of a rule has behind its keyword: Skip bytes, and Least bytes of a class.
type Tail struct {
	Skip, Least int
	Class       [256]bool
}

// Tail returns nil where a rule has no such form. Of a rule with several keywords it is what all of its
// alternatives have behind one of them. It parses the rule's expression when it is first called.
func (r *Rule) Tail() *Tail { return r.tail() }

func (r *Rule) findTail() *Tail {
	parsed, err := syntax.Parse(r.Regex, syntax.Perl)
	if err != nil {
		return nil
	}
	if len(r.Keywords) != 1 {
		return r.anyTail(flat(parsed))
	}
	return tailOf(flat(parsed), strings.ToLower(r.Keywords[0]))
}

func (r *Rule) anyTail(parts []*syntax.Regexp) *Tail {
	for _, part := range parts {
		if part.Op != syntax.OpAlternate {
			continue
		}
		all := &Tail{}
		for _, sub := range part.Sub {
			branch := append(flat(sub), &syntax.Regexp{Op: syntax.OpEmptyMatch}) // something follows
			var t *Tail
			for _, k := range r.Keywords {
				if t = tailOf(branch, strings.ToLower(k)); t != nil {
					break
				}
			}
			if t == nil || t.Skip > 0 {
				return nil
			}
			if all.Least == 0 || t.Least < all.Least {
				all.Least = t.Least
			}
			for b, is := range t.Class {
				all.Class[b] = all.Class[b] || is
			}
		}
		return all
	}
	return nil
}

// flat is what an expression puts together, one behind the other, groups taken apart.
func flat(re *syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat, syntax.OpCapture:
		var out []*syntax.Regexp
		for _, sub := range re.Sub {
			out = append(out, flat(sub)...)
		}
		return out
	}
	return []*syntax.Regexp{re}
}

func tailOf(parts []*syntax.Regexp, keyword string) *Tail {
	for i, part := range parts[:max(0, len(parts)-1)] {
		if part.Op != syntax.OpLiteral {
			continue
		}
		text := strings.ToLower(string(part.Rune))
		at := strings.Index(text, keyword)
		if at < 0 || strings.Count(text, keyword) != 1 || len(text) != len(part.Rune) {
			continue
		}
		t := &Tail{Skip: len(text) - at - len(keyword), Least: 1}
		next := parts[i+1]
		switch next.Op {
		case syntax.OpRepeat:
			t.Least, next = next.Min, next.Sub[0]
		case syntax.OpPlus:
			next = next.Sub[0]
		}
		if next.Op != syntax.OpCharClass || t.Least == 0 {
			return nil
		}
		t.fill(next.Rune)
		return t
	}
	return nil
}

// fill sets the bytes of a class that is given in ranges; what is beyond ASCII may be any byte of it.
func (t *Tail) fill(ranges []rune) {
	for i := 0; i+1 < len(ranges); i += 2 {
		for b := range t.Class {
			first, last := rune(b), rune(b)
			if b >= 0x80 {
				first, last = 0x80, 0x10ffff
			}
			if first <= ranges[i+1] && last >= ranges[i] {
				t.Class[b] = true
			}
		}
	}
}
