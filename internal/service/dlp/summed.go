package dlp

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// sumNames are what a field is called that says what the bytes beside it are.
var sumNames = []string{"sha1", "sha224", "sha256", "sha384", "sha512", "md5", "integrity", "shasum", "checksum", "digest", "hmac", "signature"}

// sumForm is a digest or a signature in hex or base64, which may name its algorithm.
var sumForm = regexp.MustCompile(`^(?:[A-Za-z0-9]{2,16}[-:=])?(?:[0-9A-Fa-f]{32,}|[A-Za-z0-9+/_-]{22,}={0,2})$`)

func sumField(name, value string) bool {
	name = strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	for _, word := range sumNames {
		if strings.Contains(name, word) {
			return sumForm.MatchString(value)
		}
	}
	return false
}

// summed reports whether a sum or a signature stands in text beside what was found: in the same object
// or one around it, in any field of a form, or anywhere in XML. Of a conversation only the signature
// of the very object counts, which is a model's over what it thought.
func (r *Redaction) summed(text []byte, base int64, found []Finding) bool {
	switch {
	case r.Conversation:
	case r.Form == Fields:
		for field := range bytes.SplitSeq(text, []byte("&")) {
			if name, value, _ := bytes.Cut(field, []byte("=")); sumField(unpercented(name), unpercented(value)) {
				return true
			}
		}
		return false
	case r.Form == XML || r.Form == Plain && markup(text):
		return bytes.Contains(text, []byte("SignatureValue>")) || bytes.Contains(text, []byte("DigestValue>"))
	}
	o := objects{text: text, conversation: r.Conversation}
	for _, f := range found {
		o.spans = append(o.spans, span{lo: int(f.Offset - base), hi: int(f.Offset-base) + f.Span})
	}
	return o.beside()
}

func isHex(b byte) bool { return unhex(b) >= 0 }

// maxOpen bounds objects within one another; what is deeper counts as one with a sum.
const maxOpen = 10000

// maxCompared bounds how often an object and a finding are compared; then all count as summed.
const maxCompared = 1 << 26

// span is where something is to be overwritten; inner, when an object was found that holds it.
type span struct {
	lo, hi int
	inner  bool
}

// unpercented is unescaped as far as it can be.
func unpercented(p []byte) string {
	if text, err := url.QueryUnescape(string(p)); err == nil {
		return text
	}
	return string(p)
}

// objects reads the objects of JSON, of which it looks only for names and strings.
type objects struct {
	text         []byte
	spans        []span
	conversation bool
	open         []object
	work         int
}

// object is one that is open: where it begins, its last name, and what is known of it.
type object struct {
	at               int
	array, value     bool // in front of a value, not of a name
	name             string
	sum, signs       bool
	payload, several bool
}

// beside reports whether an object that holds one of the spans has a sum.
func (o *objects) beside() bool {
	for i := 0; i < len(o.text); i++ {
		switch b := o.text[i]; b {
		case '{', '[':
			if len(o.open) == maxOpen {
				return true
			}
			o.open = append(o.open, object{at: i, array: b == '[', value: b == '['})
		case '}', ']':
			if o.shut(i) {
				return true
			}
		case ',':
			if top := o.top(); top != nil {
				top.value = top.array
			}
		case ':':
			if top := o.top(); top != nil {
				top.value = true
			}
		case '"':
			i = o.literal(i)
		}
	}
	for len(o.open) > 0 { // what was cut off
		if o.shut(len(o.text)) {
			return true
		}
	}
	return false
}

func (o *objects) top() *object {
	if len(o.open) == 0 {
		return nil
	}
	return &o.open[len(o.open)-1]
}

// shut ends the innermost object and reports whether it is one with a sum around what is looked for.
func (o *objects) shut(end int) bool {
	top := o.top()
	if top == nil {
		return false
	}
	it := *top // before it is popped
	o.open = o.open[:len(o.open)-1]
	jws := it.payload && (it.several || it.signs)
	if !o.conversation && !jws && !it.sum || it.array {
		return false
	}
	if o.work += len(o.spans); o.work > maxCompared {
		return true
	}
	for i := range o.spans {
		f := &o.spans[i]
		if f.lo > end || f.hi <= it.at {
			continue
		}
		if jws || it.sum && !o.conversation || it.signs && !f.inner {
			return true
		}
		f.inner = f.inner || f.lo >= it.at && f.hi <= end
	}
	return false
}

// literal reads a string and returns where it ends.
func (o *objects) literal(i int) int {
	end := i + 1
	for end < len(o.text) && o.text[end] != '"' {
		if o.text[end] == '\\' {
			end++
		}
		end++
	}
	top := o.top()
	if end >= len(o.text) || top == nil || top.array {
		return end
	}
	raw := o.text[i+1 : end]
	if len(raw) > 4096 && top.value {
		return end // no sum is that long
	}
	text := string(raw)
	if bytes.IndexByte(raw, '\\') >= 0 {
		_ = json.Unmarshal(o.text[i:end+1], &text)
	}
	if !top.value {
		top.name = text
		top.payload = top.payload || text == "payload"
		top.several = top.several || text == "signatures"
		return end
	}
	if sumField(top.name, text) {
		top.sum = true
		top.signs = top.signs || top.name == "signature"
	}
	return end
}
