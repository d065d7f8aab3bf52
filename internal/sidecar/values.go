package sidecar

import (
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
)

// maxRemembered is the largest body whose values are remembered one by one. In larger ones only
// pieces of six bytes or more are.
const maxRemembered = 4 << 10

// headValues are the short values that the agent chose in a head, each in its slot: labels below
// a wildcard, segments of the path, values of the query and of fields.
func headValues(route string, head *egress.Head) []dlp.Value {
	var out []dlp.Value
	add := func(slot, text string) {
		if plain, err := url.QueryUnescape(text); err == nil {
			text = plain
		}
		out = append(out, dlp.Value{Slot: route + " " + slot, Text: text})
	}
	if labels := wildLabels(route, head.Host); labels != "" {
		for label := range strings.SplitSeq(strings.Trim(labels, "."), ".") {
			add("label", label)
		}
	}
	n := 0
	for segment := range strings.SplitSeq(strings.Trim(head.Path, "/"), "/") {
		add("path "+strconv.Itoa(n), segment)
		n++
	}
	for pair := range strings.SplitSeq(head.Query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			name, value = "", pair
		}
		add("query "+name, value)
	}
	for i := range head.Header {
		if f := &head.Header[i]; !ordinaryField(f.Name) {
			add("header "+f.Name, f.Value)
		}
	}
	return out
}

// ordinaryField finds the fields that an HTTP client changes by itself.
func ordinaryField(name string) bool {
	switch strings.ToLower(name) {
	case "accept", "accept-encoding", "accept-language", "content-type", "content-encoding", "date", "user-agent", "te",
		"traceparent", "tracestate", "x-request-id", "sec-websocket-key", "if-modified-since", "range":
		return true
	}
	return false
}

// remembered keeps a small body as it goes by.
type remembered struct {
	io.Reader
	x     *inspection
	kind  string
	text  []byte
	large bool
}

func (r *remembered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.large = r.large || len(r.text)+n > maxRemembered; !r.large {
		r.text = append(r.text, p[:n]...)
	}
	return n, err
}

// last looks at the values of the body beside those of earlier requests. It is called when the
// body was looked at and is still held back.
func (r *remembered) last() []dlp.Finding {
	if r.large {
		return nil
	}
	return r.x.memory.Values(r.x.engine, bodyValues(r.x.route.Host, r.kind, string(r.text)), "the request's body", r.x.use)
}

// bodyValues are the values of a small body: of a form, the strings and numbers of JSON, or all
// of it as one.
func bodyValues(route, kind, text string) []dlp.Value {
	var out []dlp.Value
	add := func(slot, value string) {
		if len(value) > 0 {
			out = append(out, dlp.Value{Slot: route + " body " + slot, Text: value})
		}
	}
	kind = strings.ToLower(kind)
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		for pair := range strings.SplitSeq(trimmed, "&") {
			name, value, ok := strings.Cut(pair, "=")
			if plain, err := url.QueryUnescape(value); err == nil {
				value = plain
			}
			if !ok {
				name, value = "", pair
			}
			add(name, value)
		}
	case strings.HasPrefix(trimmed, "{"), strings.HasPrefix(trimmed, "["):
		leaves(trimmed, add)
	default:
		add("", trimmed)
	}
	return out
}

// leaves walks JSON loosely: a string in front of a colon names what follows.
func leaves(text string, add func(slot, value string)) {
	name := ""
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := i + 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			value := text[min(i+1, len(text)):min(end, len(text))]
			i = min(end+1, len(text))
			if rest := strings.TrimLeft(text[i:], " \t\r\n"); strings.HasPrefix(rest, ":") {
				name = value
				continue
			}
			if plain, err := strconv.Unquote(`"` + value + `"`); err == nil {
				value = plain
			}
			add(name, value)
		case c >= '0' && c <= '9':
			end := i
			for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '.') {
				end++
			}
			add(name, text[i:end])
			i = end
		default:
			i++
		}
	}
}
