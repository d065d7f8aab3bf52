package dlp

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Form is what a text must still be when a value was taken out of it.
type Form uint8

// The forms that a type of content names; Plain is any other, of which what it looks like counts.
const (
	Plain Form = iota
	JSON
	XML
	Fields // name=value&name=value
)

// FormOf is the form that a Content-Type names.
func FormOf(contentType string) Form {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return JSON
	case kind == "application/xml", kind == "text/xml", strings.HasSuffix(kind, "+xml"):
		return XML
	case kind == "application/x-www-form-urlencoded":
		return Fields
	}
	return Plain
}

// maxStretches bounds how many values of one finding are looked at one by one.
const maxStretches = 64

// maxWalked bounds how much text is walked for the values of all findings.
const maxWalked = 1 << 28

// stretches are the values of text that touch text[lo:hi], cut to it, where the form has values
// that stand apart: fields of a form, or what stands between and in the tags of markup.
func (r *Redaction) stretches(text []byte, lo, hi int) (all [][2]int, apart bool) {
	defer func() {
		if apart {
			r.walked += hi
		}
	}()
	switch {
	case r.Form == Fields:
		return fields(text, 0, lo, hi), true
	case r.Query[1] > 0 && lo >= r.Query[0] && hi <= r.Query[1]:
		return fields(text[:r.Query[1]], r.Query[0], lo, hi), true
	case r.Form == XML || r.Form == Plain && markup(text):
		return marked(text, lo, hi), true
	}
	return nil, false
}

func clip(all [][2]int, from, to, lo, hi int) [][2]int {
	if from, to = max(from, lo), min(to, hi); from < to {
		return append(all, [2]int{from, to})
	}
	return all
}

// fields are the values of name=value&name=value; what has no name is all value.
func fields(text []byte, start, lo, hi int) (all [][2]int) {
	for at := start; at < len(text) && at < hi; {
		end := len(text)
		if n := bytes.IndexByte(text[at:], '&'); n >= 0 {
			end = at + n
		}
		value := at + bytes.IndexByte(text[at:end], '=') + 1
		all = clip(all, value, end, lo, hi)
		at = end + 1
	}
	return all
}

// markup reports whether a text begins as XML or HTML does.
func markup(text []byte) bool {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n")
	return len(text) > 1 && text[0] == '<' && (text[1] == '?' || text[1] == '!' || text[1]|0x20 >= 'a' && text[1]|0x20 <= 'z')
}

// marked are the texts between tags, in comments and in quoted attributes.
func marked(text []byte, lo, hi int) (all [][2]int) {
	for at := 0; at < len(text) && at < hi; {
		switch rest := text[at:]; {
		case rest[0] != '<':
			n := bytes.IndexByte(rest, '<')
			if n < 0 {
				n = len(rest)
			}
			all = clip(all, at, at+n, lo, hi)
			at += n
		case bytes.HasPrefix(rest, []byte("<!--")):
			at, all = closed(all, text, at+4, "-->", lo, hi)
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			at, all = closed(all, text, at+9, "]]>", lo, hi)
		case rest[0] == '<' && len(rest) > 1 && rest[1] == '?':
			at, _ = closed(nil, text, at+2, "?>", lo, hi)
		default:
			at, all = tag(all, text, at+1, lo, hi)
		}
	}
	return all
}

func closed(all [][2]int, text []byte, at int, end string, lo, hi int) (int, [][2]int) {
	n := bytes.Index(text[at:], []byte(end))
	if n < 0 {
		return len(text), clip(all, at, len(text), lo, hi)
	}
	return at + n + len(end), clip(all, at, at+n, lo, hi)
}

// tag adds the values of a tag's attributes.
func tag(all [][2]int, text []byte, at, lo, hi int) (int, [][2]int) {
	for at < len(text) && text[at] != '>' {
		if q := text[at]; q == '"' || q == '\'' {
			at, all = closed(all, text, at+1, string(q), lo, hi)
			continue
		}
		at++
	}
	return min(at+1, len(text)), all
}

// wellFormed reports whether a text is XML.
func wellFormed(text []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	elements := 0
	for {
		token, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF) && elements > 0
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
}

// holds tells which forms a text has.
type holds struct{ json, xml, text bool }

func (r *Redaction) holds(text []byte) holds {
	return holds{json.Valid(text), (r.Form == XML || r.Form == Plain && markup(text)) && wellFormed(text), utf8.Valid(text)}
}

// lost reports whether a form that a text had is gone.
func (h holds) lost(now holds) bool {
	return h.json && !now.json || h.xml && !now.xml || h.text && !now.text
}

// told reports whether the form of a text can be told, as it must be where its values are to be.
func (r *Redaction) told(h holds) bool {
	switch {
	case r.Conversation:
		return true
	case r.Form == JSON:
		return r.Whole && h.json
	case r.Form == XML:
		return r.Whole && h.xml
	case r.Form == Fields:
		return r.Whole
	}
	return true
}

// wideText tells of a text that begins with UTF-16's byte order mark which byte of each two is the
// lower.
func wideText(text []byte) (low int, ok bool) {
	switch {
	case len(text) < 2 || len(text) >= 4 && text[2] == 0 && text[3] == 0:
		return 0, false
	case text[0] == 0xff && text[1] == 0xfe:
		return 0, true
	case text[0] == 0xfe && text[1] == 0xff:
		return 1, true
	}
	return 0, false
}
