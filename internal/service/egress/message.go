package egress

import (
	"io"
	"strings"
)

// arrival is how a connection came in and what it may be used for.
type arrival struct {
	via string
	// name is the canonical host that the connection was opened for (CONNECT target, the
	// resolver's name of a synthetic address, SNI, an address), or "" where only Host tells.
	name string
	port uint16
	tls  bool
	// conflict is set where the layers below HTTP named different hosts.
	conflict string
	// full is set where the bottle has too many connections open: every request is refused.
	full bool
}

// request is one request, whatever protocol brought it. authority is as the agent wrote it.
type request struct {
	proto     string // "http/1.1" | "h2"
	method    string
	authority string
	target    string // origin form
	header    Header
	length    int64 // of body; -1 unknown, 0 none
	body      io.Reader
	// proceed is called once before body is read, for Expect: 100-continue. It may be nil.
	proceed func() error
	// abort makes a Read of body that waits for the agent return. It may be nil.
	abort func()
	// websocket asks for one. Over HTTP/2 the method is then GET and a key was made up, so that
	// every request for a WebSocket looks the same (RFC 8441 §5).
	websocket bool
}

// response is an answer, from the upstream or of our own making.
type response struct {
	status  int
	reason  string
	header  Header
	length  int64 // of body; -1 unknown
	body    io.ReadCloser
	trailer func() Header // after body ended
	// begun reports whether some of body is there already; nil where nobody can tell.
	begun func() bool
	// upgraded is the upstream's side of a WebSocket; status is then 101, whatever carries it.
	upgraded *peer
}

// headFirst reports whether the head leaves before the body's first bytes: where they may be long
// in coming. Otherwise both leave together.
func (r *response) headFirst() bool {
	return (r.length < 0 || r.length > inlineBody) && (r.begun == nil || !r.begun())
}

// bodiless tells whether a response to that request has no body (RFC 9110 §6.4.1).
func bodiless(method string, status int) bool {
	return method == "HEAD" || status < 200 || status == 204 || status == 304
}

// hopByHop are the fields that end at this hop (RFC 9110 §7.6.1), and those that steer past it.
func hopByHop(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
		"proxy-authentication-info", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
		"content-length", "alt-svc", "alternate-protocol", "alt-used":
		return true
	}
	return false
}

// connectionNamed returns the lower-case field names that Connection lists.
func connectionNamed(h Header) []string {
	var named []string
	for _, value := range h.Values("Connection") {
		for part := range strings.SplitSeq(value, ",") {
			if token := strings.ToLower(strings.Trim(part, " \t")); token != "" {
				named = append(named, token)
			}
		}
	}
	return named
}
