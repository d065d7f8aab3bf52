package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// shape says what a value must be. One tree of shapes drives both the decoder's checks and the
// JSON Schema, so the two cannot differ.
type shape struct {
	kind kind
	doc  string

	enum    []string // text: the only values
	pattern string   // text: what it must match
	want    string   // the pattern in words
	secret  bool     // text: may be a secret by mistake, and is never shown
	free    bool     // text: may be empty and hold control characters
	numbers bool     // text: a number is taken as it is written

	min, max int64 // integer

	each   *shape // list, dict: every value
	filled bool   // list: at least one entry
	single bool   // list: one text stands for a list of one
	off    bool   // list: false is accepted, and means none

	name *shape // dict: every name

	keys    []key        // object
	removed []removedKey // object
	empty   bool         // no value is the explicit empty

	reserved bool // any value is an error
}

type kind uint8

const (
	anything kind = iota
	text
	boolean
	integer
	list
	dict
	object
)

// key is one key of an object.
type key struct {
	name     string
	required bool
	instead  string // for an older spelling: what to write today
	is       shape
}

// removedKey is a key that is known to have no meaning here.
type removedKey struct{ name, wrong, instead string }

// check reports everything by which n is not of the shape. Decoders afterwards read only values
// of the right kind, so that nothing is reported twice.
func (s *shape) check(r *report, n *node) {
	if s.reserved {
		r.fail(n, "is reserved", "leave it out")
		return
	}
	if n.kind == nullNode && s.kind != anything {
		if !s.empty {
			r.fail(n, "has no value", "")
		}
		return
	}
	switch s.kind {
	case text:
		s.checkText(r, n)
	case boolean:
		if n.kind != boolNode {
			r.fail(n, s.mismatch(n), "")
		}
	case integer:
		if n.kind != integerNode || n.whole < s.min || n.whole > s.max {
			r.fail(n, s.mismatch(n), "")
		}
	case list:
		s.checkList(r, n)
	case dict:
		s.checkDict(r, n)
	case object:
		s.checkObject(r, n)
	}
}

// mismatch says what was wanted and what is there.
func (s *shape) mismatch(n *node) string {
	want := [...]string{"anything", "text", "true or false", "", "a list", "a mapping", "a mapping"}[s.kind]
	switch {
	case s.kind == integer:
		want = fmt.Sprintf("a whole number from %d to %d", s.min, s.max)
		if n.kind == integerNode {
			return "must be " + want + ", not " + n.text
		}
	case s.enum != nil:
		want = "one of " + strings.Join(s.enum, ", ")
	case s.off:
		want = "a list, or false"
	case s.single:
		want = "a name, or a list of names"
	}
	is := n.kind.String()
	if n.kind == boolNode {
		is = strconv.FormatBool(n.truth)
	}
	return "must be " + want + ", not " + is
}

func (s *shape) checkText(r *report, n *node) {
	if s.numbers && (n.kind == integerNode || n.kind == numberNode) {
		n.kind = textNode
	}
	if n.kind != textNode {
		hint := ""
		if n.kind != listNode && n.kind != mappingNode && s.enum == nil {
			hint = "quote it"
		}
		r.fail(n, s.mismatch(n), hint)
		return
	}
	switch {
	case s.enum != nil:
		if !slices.Contains(s.enum, n.text) {
			r.fail(n, shown(n.text)+" is not one of "+strings.Join(s.enum, ", "), didYouMean(n.text, s.enum))
			n.text = ""
		}
	case s.free:
	case n.text == "":
		r.fail(n, "is empty", "")
	case strings.ContainsFunc(n.text, unicode.IsControl):
		r.fail(n, "holds a control character", "")
		n.text = ""
	case s.pattern != "" && !r.matches(s.pattern, n.text):
		subject := ""
		if !s.secret {
			subject = shown(n.text) + " "
		}
		r.fail(n, subject+"is not "+s.want, "")
		n.text = ""
	}
}

func (s *shape) checkList(r *report, n *node) {
	switch {
	case n.kind == textNode && s.single:
		item := *n
		n.kind, n.items = listNode, []*node{&item}
	case n.kind == boolNode && !n.truth && s.off:
		return
	case n.kind != listNode:
		r.fail(n, s.mismatch(n), "")
		return
	}
	if len(n.items) == 0 && s.filled {
		hint := "leave it out"
		if s.off {
			hint = "write false for none"
		}
		r.fail(n, "is an empty list", hint)
	}
	for _, item := range n.items {
		s.each.check(r, item)
	}
}

func (s *shape) checkDict(r *report, n *node) {
	if n.kind != mappingNode {
		r.fail(n, s.mismatch(n), "")
		return
	}
	kept := n.entries[:0]
	for _, e := range n.entries {
		name := *e.at
		name.kind, name.text = textNode, e.key
		before := len(r.problems)
		s.name.check(r, &name)
		if len(r.problems) == before {
			kept = append(kept, e)
		}
		s.each.check(r, e.value)
	}
	n.entries = kept
}

func (s *shape) checkObject(r *report, n *node) {
	if n.kind != mappingNode {
		r.fail(n, s.mismatch(n), "")
		return
	}
	var meant []string
	for _, e := range n.entries {
		i := slices.IndexFunc(s.keys, func(k key) bool { return k.name == e.key })
		if i < 0 {
			meant = append(meant, s.unknown(r, e))
			continue
		}
		k := &s.keys[i]
		if k.instead != "" {
			r.warnOnce(k.name, e.at, "is an older spelling", "write "+k.instead)
		}
		k.is.check(r, e.value)
	}
	for _, k := range s.keys {
		if k.required && n.get(k.name) == nil && !slices.Contains(meant, k.name) {
			r.fail(n, fmt.Sprintf("needs the key %q", k.name), "")
		}
	}
}

// unknown reports a key that is not of the object, and returns the key that was probably meant.
func (s *shape) unknown(r *report, e entry) (meant string) {
	for _, gone := range s.removed {
		if gone.name == e.key {
			r.fail(e.at, gone.wrong, gone.instead)
			return ""
		}
	}
	var names []string
	for _, k := range s.keys {
		if k.instead == "" && !k.is.reserved {
			names = append(names, k.name)
		}
	}
	hint := didYouMean(e.key, names)
	if hint == "" {
		hint = "known here: " + strings.Join(names, ", ")
	}
	r.fail(e.at, "is not a known key", hint)
	return nearest(e.key, names)
}
