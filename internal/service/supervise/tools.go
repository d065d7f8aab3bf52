package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

type none struct{}

type allowInput struct {
	Host          string      `json:"host" jsonschema:"the host name, such as api.example.org; *.example.org for every name below"`
	Ports         []int       `json:"ports,omitempty" jsonschema:"ports to open; default 443"`
	Methods       []string    `json:"methods,omitempty" jsonschema:"HTTP methods in upper case; leave out only if you need all"`
	Paths         []pathInput `json:"paths,omitempty" jsonschema:"paths to open; leave out only if you need all"`
	Justification string      `json:"justification" jsonschema:"what you need it for, in one or two sentences a person can check"`
}

type pathInput struct {
	Type  string `json:"type" jsonschema:"exact, or prefix"`
	Value string `json:"value" jsonschema:"begins with /, without a query"`
}

type blockInput struct {
	URL           string `json:"url" jsonschema:"the URL that was refused"`
	Method        string `json:"method,omitempty" jsonschema:"its method; default GET"`
	Justification string `json:"justification" jsonschema:"what you need it for, in one or two sentences a person can check"`
}

type tokenInput struct {
	Fingerprint   string `json:"fingerprint" jsonschema:"the fingerprint that the refusal told"`
	Host          string `json:"host" jsonschema:"the host that the request was for"`
	Justification string `json:"justification" jsonschema:"why this value is no secret, or why it must go there"`
}

type pushInput struct {
	Fingerprint   string `json:"fingerprint" jsonschema:"the fingerprint that the refused push told"`
	Justification string `json:"justification" jsonschema:"why this finding is no secret"`
}

type capabilityInput struct {
	Dockerfile    string         `json:"dockerfile,omitempty" jsonschema:"the whole new Dockerfile"`
	Packages      []packageInput `json:"packages,omitempty" jsonschema:"packages to have from the next start on"`
	Justification string         `json:"justification" jsonschema:"what you need it for, in one or two sentences a person can check"`
}

type packageInput struct {
	Manager string `json:"manager" jsonschema:"npm or pip"`
	Name    string `json:"name" jsonschema:"the package's name; a version may follow, such as left-pad@1.3.0 or requests==2.32.0"`
}

type statusInput struct {
	ID string `json:"id" jsonschema:"the id that an earlier call returned"`
}

func (s *Server) addTools(server *mcp.Server) {
	add(server, "list-egress-routes", "List what this bottle may reach. Look here before you ask for more.", s.listRoutes)
	add(server, "egress-allow", "Ask the operator to open a destination.", s.egressAllow)
	add(server, "egress-block", "After a request was refused (403 with layer egress): ask the operator for the route that this request lacks.", s.egressBlock)
	add(server, "egress-token-allow", "After a request was refused by the scanner (403 with layer dlp): ask the operator to let this one value pass to this host.", s.tokenAllow)
	add(server, "gitleaks-allow", "After a push was refused by the git gate: ask the operator to let this one finding pass.", s.pushAllow)
	add(server, "capability-block", s.capabilityText(), s.capabilityBlock)
	add(server, "proposal-status", "Ask what became of an earlier proposal.", s.proposalStatus)
}

// add makes a tool whose arguments are checked by their schema before it runs.
func add[In any](server *mcp.Server, name, description string, do func(context.Context, In) (Outcome, error)) {
	schema, err := jsonschema.For[In](nil)
	if err != nil { // the types above are the program's own
		panic(fmt.Sprintf("supervise: %s: %v", name, err))
	}
	bound(schema)
	mcp.AddTool(server, &mcp.Tool{Name: name, Description: description, InputSchema: schema},
		func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
			out, err := do(ctx, in)
			if err != nil {
				return nil, nil, err // becomes the tool's error, which the model reads
			}
			return out.result(), nil, nil
		})
}

// bound limits what every schema leaves open.
func bound(schema *jsonschema.Schema) {
	limit := func(p *jsonschema.Schema, length, items int) {
		p.MinLength, p.MaxLength = jsonschema.Ptr(1), jsonschema.Ptr(length)
		if p.Items != nil {
			p.MinLength, p.MaxLength = nil, nil
			p.MinItems, p.MaxItems = jsonschema.Ptr(1), jsonschema.Ptr(items)
		}
	}
	for name, p := range schema.Properties {
		switch {
		case name == "dockerfile":
			limit(p, 24<<10, 0)
		case p.Type == "string":
			limit(p, 2000, 0)
		case p.Items != nil:
			limit(p, 0, 32)
			if p.Items.Type == "integer" {
				p.Items.Minimum, p.Items.Maximum = jsonschema.Ptr(1.0), jsonschema.Ptr(65535.0)
			}
			bound(p.Items)
		}
		switch name {
		case "type":
			p.Enum = []any{"exact", "prefix"}
		case "manager":
			p.Enum = []any{"npm", "pip"}
		}
	}
}

func (s *Server) listRoutes(context.Context, none) (Outcome, error) {
	return Outcome{Status: "ok", Routes: s.deps.Bottle.Routes()}, nil
}

func (s *Server) egressAllow(ctx context.Context, in allowInput) (Outcome, error) {
	wild, name := "", in.Host
	if rest, ok := strings.CutPrefix(in.Host, "*."); ok {
		wild, name = "*.", rest
	}
	host, err := policy.CanonicalHost(name)
	if err != nil {
		return Outcome{}, err
	}
	route := policy.Route{Host: wild + host, Ports: []uint16{443}}
	if len(in.Ports) > 0 {
		route.Ports = nil
		for _, p := range in.Ports {
			route.Ports = append(route.Ports, uint16(p))
		}
	}
	match := policy.Match{Methods: in.Methods}
	for _, p := range in.Paths {
		match.Paths = append(match.Paths, policy.PathMatch{Type: p.Type, Value: p.Value})
	}
	if len(match.Methods)+len(match.Paths) > 0 {
		route.Matches = []policy.Match{match}
	}
	if route, err = s.deps.Bottle.Complete(route); err != nil {
		return Outcome{}, err
	}
	return s.askForRoute(ctx, route, "open "+route.Host, in.Justification)
}

func (s *Server) egressBlock(ctx context.Context, in blockInput) (Outcome, error) {
	request, shown, err := requestOf(in.URL, in.Method)
	if err != nil {
		return Outcome{}, err
	}
	route, allowed, err := s.deps.Bottle.Missing(request)
	if err != nil {
		return Outcome{}, err
	}
	if allowed {
		return Outcome{Status: "approved", Next: "This request is allowed now: make it."}, nil
	}
	return s.askForRoute(ctx, route, shown, in.Justification)
}

// requestOf is a refused request as policy sees it.
func requestOf(address, method string) (policy.Request, string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return policy.Request{}, "", errors.New("cannot read the URL: it must begin with http:// or https:// and name a host")
	}
	port := 443
	if u.Scheme == "http" {
		port = 80
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return policy.Request{}, "", errors.New("cannot read the URL: its port is no port")
		}
	}
	if method == "" {
		method = "GET"
	}
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	request, err := policy.NewRequest(method, u.Hostname(), uint16(port), target, nil)
	if err != nil {
		return policy.Request{}, "", err
	}
	host := request.Host()
	if u.Port() != "" {
		host = net.JoinHostPort(host, u.Port())
	}
	return request, method + " " + u.Scheme + "://" + host + request.Target().Path, nil
}

func (s *Server) askForRoute(ctx context.Context, route policy.Route, title, why string) (Outcome, error) {
	candidate, err := json.Marshal(route)
	if err != nil {
		return Outcome{}, err
	}
	return s.propose(ctx, ask.Question{
		Kind: ask.Route, Key: route.Host, Title: title, Words: why, Candidate: candidate, Scopes: []ask.Scope{ask.Run, ask.Always},
	})
}

func (s *Server) tokenAllow(ctx context.Context, in tokenInput) (Outcome, error) {
	candidate, title, err := s.deps.Bottle.HeldValue(in.Fingerprint, in.Host)
	if err != nil {
		return Outcome{}, err
	}
	return s.propose(ctx, ask.Question{
		Kind: ask.Value, Key: in.Fingerprint, Title: title, Words: in.Justification, Candidate: candidate, Scopes: []ask.Scope{ask.Run},
	})
}

func (s *Server) pushAllow(ctx context.Context, in pushInput) (Outcome, error) {
	q, err := s.deps.Bottle.HeldPush(in.Fingerprint)
	if err != nil {
		return Outcome{}, err
	}
	q.Words, q.Scopes = in.Justification, []ask.Scope{ask.Run}
	return s.propose(ctx, q)
}

func (s *Server) proposalStatus(_ context.Context, in statusInput) (Outcome, error) {
	p, err := s.deps.Inbox.Proposal(in.ID)
	if err != nil {
		return Outcome{}, err
	}
	return outcomeOf(p), nil
}
