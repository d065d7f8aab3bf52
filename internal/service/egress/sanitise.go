package egress

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// sanitise divides the agent's header into what is passed on and what is taken off: fields of
// this hop, those that Connection names, forwarding and override fields that some upstreams
// believe, and every credential of the agent's own, also where it is spelled with "_" for "-".
func sanitise(h Header, route *policy.Route, websocket bool) (kept, stripped Header) {
	named := connectionNamed(h)
	if websocket {
		h = onlyDeflate(h)
	}
	kept = make(Header, 0, len(h)+2)
	for i := range h {
		name := strings.ToLower(h[i].Name)
		switch {
		case name == "host", name == "expect", strings.HasPrefix(name, ":"):
		case hopByHop(name):
			if name == "te" && h.token("TE", "trailers") {
				kept = append(kept, Field{"TE", "trailers"}) // gRPC upstreams insist on it
			}
		case slices.Contains(named, name), forwarding(name), !websocket && strings.HasPrefix(name, "sec-websocket-"), credential(name, route):
			stripped = append(stripped, h[i])
		default:
			kept = append(kept, h[i])
		}
	}
	return kept, stripped
}

// forwarding are the fields by which upstreams are told another host, address, path or method.
func forwarding(name string) bool {
	alias := strings.ReplaceAll(name, "_", "-")
	if strings.HasPrefix(alias, "x-forwarded-") || strings.HasPrefix(alias, "proxy-") {
		return true
	}
	switch alias {
	case "forwarded", "via", "x-real-ip", "x-client-ip", "x-host", "x-original-host", "x-original-url", "x-rewrite-url",
		"x-http-method-override", "x-http-method", "x-method-override", "true-client-ip", "cf-connecting-ip":
		return true
	}
	return alias != name && (alias == "host" || hopByHop(alias))
}

// credential finds fields that could carry the agent's own credential: Authorization everywhere,
// the header that the route puts in, and the API-key headers on hosts that a provider owns.
func credential(name string, route *policy.Route) bool {
	alias := strings.ReplaceAll(name, "_", "-")
	if alias == "authorization" {
		return true
	}
	if route.Auth != nil && route.Auth.Scheme == "header" && alias == strings.ReplaceAll(strings.ToLower(route.Auth.Name), "_", "-") {
		return true
	}
	return (route.Owner != "" || route.Auth != nil) && (alias == "x-api-key" || alias == "api-key")
}

// inject appends the route's credential. The error never holds the value.
func (s *Server) inject(h Header, route *policy.Route) (Header, error) {
	auth := route.Auth
	if auth == nil {
		return h, nil
	}
	if s.deps.Credentials == nil {
		return nil, errors.New("there is no source of credentials")
	}
	token, err := s.deps.Credentials.Token(auth.TokenRef)
	if err != nil || token.Empty() {
		return nil, errors.New("the token cannot be resolved")
	}
	value := token.Reveal()
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return nil, errors.New("the token has a byte that no header can carry")
		}
	}
	switch auth.Scheme {
	case "Bearer", "token":
		return append(h, Field{"Authorization", auth.Scheme + " " + value}), nil
	case "basic":
		pair := base64.StdEncoding.EncodeToString([]byte(auth.Username + ":" + value))
		return append(h, Field{"Authorization", "Basic " + pair}), nil
	case "header":
		return append(h, Field{auth.Name, value}), nil
	}
	return nil, errors.New("the scheme is unknown")
}

// answerHeader drops what a response may not tell the agent: this hop's fields, and hints at
// ways past the proxy. Each front writes the end of a WebSocket's handshake itself.
func answerHeader(h Header) Header {
	named := connectionNamed(h)
	return slices.DeleteFunc(h, func(f Field) bool {
		return hopByHop(f.Name) || strings.EqualFold(f.Name, "Sec-WebSocket-Accept") || len(named) > 0 && slices.Contains(named, strings.ToLower(f.Name))
	})
}

// trailerFields keeps the trailer fields that RFC 9110 §6.5.1 lets a recipient merge or forward.
func trailerFields(h Header) Header {
	return slices.DeleteFunc(slices.Clone(h), func(f Field) bool {
		switch strings.ToLower(f.Name) {
		case "host", "authorization", "set-cookie", "cookie", "content-type", "content-encoding", "content-range", "location":
			return true
		}
		return hopByHop(f.Name)
	})
}
