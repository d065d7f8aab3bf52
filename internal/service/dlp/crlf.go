package dlp

import (
	"bytes"
	"strings"
)

// RuleCRLF is the finding of a line break that some server behind could take for the end of a
// header or of a request.
const RuleCRLF = "crlf-injection"

// CRLF reports whether text, as it stands or percent-decoded up to three times over, has a line
// break behind which a header or a request line begins. In a path any line break is one.
func CRLF(text string, path bool) bool {
	p := []byte(text)
	for range 4 {
		if broken(p, path) {
			return true
		}
		if bytes.IndexByte(p, '%') < 0 && !bytes.Contains(p, []byte{0xe5, 0x98}) {
			return false
		}
		next := unpercent(p)
		if bytes.Equal(next, p) {
			return false
		}
		p = next
	}
	return false
}

// unpercent decodes once, and cuts to their last byte the letters that servers are known to cut
// to a line break: U+560A and U+560D.
func unpercent(p []byte) []byte {
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); {
		if p[i] == '%' {
			if c, n := percent(p[i:]); n > 0 {
				out, i = append(out, c...), i+n
				continue
			}
		}
		out, i = append(out, p[i]), i+1
	}
	out = bytes.ReplaceAll(out, []byte("嘊"), []byte("\n"))
	return bytes.ReplaceAll(out, []byte("嘍"), []byte("\r"))
}

func broken(p []byte, path bool) bool {
	for i := range p {
		if p[i] != '\r' && p[i] != '\n' {
			continue
		}
		if path || lineOfHead(bytes.TrimLeft(p[i:], "\r\n \t")) {
			return true
		}
	}
	return false
}

// lineOfHead reports whether a line of a head begins here: a status or request line, or a field
// by which something is steered.
func lineOfHead(line []byte) bool {
	line = line[:min(len(line), 256)]
	if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	text := strings.ToLower(string(line))
	if strings.HasPrefix(text, "http/") {
		return true
	}
	method, rest, ok := strings.Cut(text, " ")
	if ok && strings.Contains(rest, "http/1") {
		switch method {
		case "get", "post", "put", "delete", "patch", "head", "options", "connect", "trace":
			return true
		}
	}
	name, _, ok := strings.Cut(text, ":")
	if !ok {
		return false
	}
	name = strings.TrimRight(name, " +\t")
	switch name {
	case "host", "set-cookie", "cookie", "location", "authorization", "connection", "upgrade", "content-length", "content-type",
		"transfer-encoding", "proxy-authorization", "refresh", "link", "origin", "referer", "forwarded", "via", "te", "trailer", "expect":
		return true
	}
	return strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "access-control-") || strings.HasPrefix(name, "proxy-")
}
