package sidecar

import (
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// part is a piece of the head that may be changed, and where it stands in the head's text.
type part struct {
	at, n int
	value *string
}

// headText lays the head out as one text, and says where the parts stand that may be changed:
// the path, the query, then the values of the fields.
func headText(head *egress.Head) (text []byte, parts []part) {
	add := func(value *string, end string) {
		parts = append(parts, part{len(text), len(*value), value})
		text = append(append(text, *value...), end...)
	}
	text = append(append(text, head.Method...), ' ')
	text = append(append(text, head.Host...), '\n')
	add(&head.Path, "\n")
	if head.HasQuery {
		add(&head.Query, "\n")
	}
	for i := range head.Header {
		f := &head.Header[i]
		if head.WebSocket && strings.EqualFold(f.Name, "Sec-WebSocket-Key") {
			continue // 16 random bytes, which were checked to be no more
		}
		text = append(append(text, f.Name...), ": "...)
		add(&f.Value, "\n")
	}
	return text, parts
}

// caseless is what of the head loses its case on its way: the method and the names of fields.
func caseless(head *egress.Head) []byte {
	text := []byte(strings.ToLower(head.Method))
	for i := range head.Header {
		text = append(append(text, '\n'), strings.ToLower(head.Header[i].Name)...)
	}
	return text
}

// byName are the values of the fields that an agent made up, in the order of their names, which is
// how whoever reads them puts them together; nil where they stand in that order with nothing between.
func byName(head *egress.Head) []byte {
	var fields []egress.Field
	apart, ordinary := false, false
	for i := range head.Header {
		if ordinaryField(head.Header[i].Name) {
			ordinary = len(fields) > 0
			continue
		}
		apart = apart || ordinary
		fields = append(fields, head.Header[i])
	}
	order := func(a, b egress.Field) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) }
	if !apart && slices.IsSortedFunc(fields, order) {
		return nil
	}
	slices.SortStableFunc(fields, order)
	var text []byte
	for _, f := range fields {
		text = append(text, f.Value...)
	}
	return text
}

// targets is how many of the parts are of the target.
func targets(head *egress.Head) int {
	if head.HasQuery {
		return 2
	}
	return 1
}

// within reports whether a finding lies wholly in one of the parts.
func within(parts []part, f dlp.Finding) bool {
	lo, hi := int(f.Offset), int(f.Offset)+f.Span
	for _, p := range parts {
		if lo >= p.at && hi <= p.at+p.n {
			return true
		}
	}
	return false
}

// changeable reports whether a body can be changed in place: it is text by its type, and no
// field of the head says what its bytes are.
func changeable(head *egress.Head) bool {
	h := head.Header
	kind := strings.ToLower(h.Get("Content-Type"))
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.TrimSpace(kind)
	text := strings.HasPrefix(kind, "text/") || kind == "application/x-ndjson" || kind == "application/graphql" || dlp.FormOf(kind) != dlp.Plain
	if !text || strings.Contains(kind, "jose") || len(encodings(h)) > 0 && encodings(h)[0] != "identity" {
		return false
	}
	for i := range h {
		name := strings.ToLower(h[i].Name)
		for _, word := range []string{"digest", "signature", "checksum", "md5", "sha1", "sha256", "sha512", "crc32", "crc64", "-hash", "hmac"} {
			if strings.Contains(name, word) {
				return false // what is signed cannot be changed
			}
		}
	}
	return !signing(head)
}

// signing reports whether a request is signed, so that nothing of it can be changed: by the scheme
// of its Authorization, or in its query.
func signing(head *egress.Head) bool {
	if head.HasQuery && strings.Contains(strings.ToLower(head.Query), "-signature=") {
		return true // X-Amz-Signature, X-Goog-Signature
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, value := range slices.Concat(head.Header.Values(name), head.Stripped.Values(name)) {
			scheme, rest, _ := strings.Cut(strings.ToLower(strings.TrimSpace(value)), " ")
			switch {
			case strings.HasPrefix(scheme, "aws"), strings.HasPrefix(scheme, "hmac"), strings.HasPrefix(scheme, "sharedkey"), scheme == "signature":
				return true
			case scheme == "digest" && strings.Contains(rest, "auth-int"), scheme == "hawk" && strings.Contains(rest, "hash="):
				return true
			case strings.Contains(rest, "signature="), scheme == "oauth" && strings.Contains(rest, "oauth_body_hash"):
				return true
			}
		}
	}
	return false
}

// wildLabels is the part of a host that whoever asks for it chose: what stands before the domain
// of a wildcard route.
func wildLabels(route, host string) string {
	domain, ok := strings.CutPrefix(route, "*")
	if !ok || !strings.HasSuffix(host, domain) {
		return ""
	}
	return strings.TrimSuffix(host, domain)
}

// breaks refuses line breaks by which a server behind could read another request than was judged.
func (x *inspection) breaks(head *egress.Head) error {
	place := ""
	switch {
	case dlp.CRLF(head.Path, true):
		place = "the path"
	case head.HasQuery && dlp.CRLF(head.Query, false):
		place = "the query"
	}
	for i := 0; i < len(head.Header) && place == ""; i++ {
		if dlp.CRLF(head.Header[i].Value, false) {
			place = "the header " + head.Header[i].Name
		}
	}
	if place == "" {
		return nil
	}
	return &egress.Blocked{
		Layer: "dlp", Rule: dlp.RuleCRLF, Reason: place + " holds a line break behind which a header or a request begins",
		Guidance:  "A server that decodes it would read another request than this one.",
		NextSteps: []string{"take the line break out, or send the text in the body"},
	}
}
