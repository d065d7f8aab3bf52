package dlp

import (
	"bytes"
	"html"
	"slices"
	"unicode/utf8"
)

// normal reads text as a model would: without case, markup, escapes of JSON and HTML, and letters
// that cannot be seen, with one space for any gap. It may be fed in any chunking.
type normal struct {
	text   []byte
	mark   byte   // '<', '&' or '\\' while that is open, else 0
	open   []byte // what was read of it
	rest   []byte // of a letter of which not all bytes have come
	hidden int    // letters that cannot be seen
}

const maxMark = 256 // bytes of a tag; what is longer is text

func (n *normal) write(p []byte) {
	for i := 0; i < len(p); i++ {
		b := p[i]
		switch {
		case len(n.rest) > 0 || b >= 0x80:
			i += n.letter(p[i:]) - 1
		case n.mark != 0:
			n.within(b)
		case b == '<', b == '&', b == '\\':
			n.mark, n.open = b, append(n.open[:0], b)
		default:
			n.put(b)
		}
	}
}

// within goes on with a tag, an entity or an escape.
func (n *normal) within(b byte) {
	n.open = append(n.open, b)
	switch n.mark {
	case '<':
		n.tag(b)
	case '&':
		if b == ';' {
			n.mark = 0
			for _, c := range []byte(html.UnescapeString(string(n.open))) {
				n.put(c)
			}
		} else if len(n.open) > 12 || !wordByte(b) && b != '#' {
			n.plain()
		}
	case '\\':
		n.escape(b)
	}
}

func (n *normal) tag(b byte) {
	switch {
	case len(n.open) == 2 && !wordByte(b) && b != '/':
		n.plain() // a comparison, a comment, a marker of a chat: all of that is read
	case b == '>' && chatTag(n.open), b == '<', len(n.open) > maxMark:
		n.plain()
	case b == '>':
		n.mark = 0
		if !inline(n.open) {
			n.put(' ')
		}
	}
}

func (n *normal) escape(b byte) {
	switch {
	case len(n.open) == 2 && b != 'u':
		n.mark = 0
		if b == 'n' || b == 't' || b == 'r' {
			b = ' '
		}
		n.put(b)
	case len(n.open) == 6:
		n.mark = 0
		if out, size := backslash(n.open); size > 0 {
			_ = n.letter(out)
		}
	}
}

// inline reports whether a tag is one that stands within words.
func inline(tag []byte) bool {
	name := bytes.Trim(tag, "</>")
	if end := bytes.IndexAny(name, " \t\r\n/"); end >= 0 {
		name = name[:end]
	}
	switch string(bytes.ToLower(name)) {
	case "a", "b", "i", "u", "s", "em", "strong", "span", "font", "small", "big", "code", "mark", "sub", "sup", "wbr", "ins", "del", "tt", "bdi", "bdo":
		return true
	}
	return false
}

// chatTag reports whether a tag is one by which conversations are marked, not pages.
func chatTag(tag []byte) bool {
	switch string(tag) {
	case "<system>", "</system>", "<system-reminder>", "</system-reminder>":
		return true
	}
	return false
}

// plain takes what was open as text.
func (n *normal) plain() {
	n.mark = 0
	for _, c := range n.open {
		n.put(c)
	}
}

// letter takes one letter of more than one byte, or a part of it, and returns how many bytes.
func (n *normal) letter(p []byte) int {
	had := len(n.rest)
	whole := slices.Concat(n.rest, p[:min(len(p), utf8.UTFMax-had)])
	if !utf8.FullRune(whole) {
		n.rest = whole
		return len(whole) - had
	}
	r, size := utf8.DecodeRune(whole)
	n.rest = n.rest[:0]
	switch {
	case r == utf8.RuneError:
		n.put(' ')
		return max(1, size-had)
	case r >= 0xe0020 && r <= 0xe007e: // tag characters, which spell ASCII and show nothing
		n.hidden++
		n.put(byte(r - 0xe0000))
	case r == 0x200b || r == 0x200c || r == 0x200d || r == 0x2060 || r == 0xfeff || r == 0xad:
		n.hidden++
	case r < utf8.RuneSelf:
		n.put(byte(r))
	case r == 0x2028 || r == 0xa0 || r >= 0x2000 && r <= 0x200a:
		n.put(' ')
	default:
		out, _ := plain(r, whole[:size])
		if len(out) == 0 || out[0] >= 0x80 {
			out = whole[:size]
		}
		for _, c := range out {
			n.put(c)
		}
	}
	return max(1, size-had)
}

func (n *normal) put(b byte) {
	switch {
	case b <= ' ':
		if k := len(n.text); k == 0 || n.text[k-1] == ' ' {
			return
		}
		b = ' '
	case b == '*' || b == '`': // emphasis
		return
	}
	n.text = append(n.text, fold(b))
}
