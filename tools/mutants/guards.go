package main

const (
	egress   = "internal/service/egress"
	rules    = "internal/policy"
	resolver = "internal/service/dns"
	sidecar  = "internal/sidecar"
)

// guards are those of "Names, DNS, addresses" and of "TLS and HTTP" in docs/threat-model.md.
func guards() []guard {
	return append(append(targets(), messages()...), limits()...)
}

// targets are about where a request goes: names, addresses, agreement and paths.
func targets() []guard {
	return []guard{
		{`control bytes in a host`, rules + "/host.go", `if raw[i] <= ' ' || raw[i] == 0x7f {`, `if false {`, []suite{{rules, `Host|Control`}}},
		{`LDH check of a host`, rules + "/host.go", `	return host, checkLDH(host)
`, `	return host, nil
`, []suite{{rules, `Host`}, {egress, `TestThreats`}}},
		{`numbers as IPv4 addresses`, rules + "/host.go", `	if numeric(host) {
		return`, `	if false {
		return`, []suite{{rules, `Host|Address`}, {egress, `TestThreats`}}},
		{`IDNA is stable`, rules + "/host.go", `err != nil || again != host {`, `err != nil && again != host && false {`, []suite{{rules, `Host`}}},
		{`metadata addresses`, rules + "/address.go", `			return true
		}
	}
	return false
}

func allowedPrivate`, `			return false
		}
	}
	return false
}

func allowedPrivate`, []suite{{rules, `Metadata`}, {egress, `TestThreats|TCPRoute|Company`}}},
		{`private, loopback, reserved ranges`, rules + "/address.go", `if class != "" && !allowed`, `if false && !allowed`, []suite{{rules, `Public`}, {egress, `TestThreats|TCPRoute`}}},
		{`own interfaces`, rules + "/address.go", `if class == "" && slices.Contains(own, form) {`, `if false {`, []suite{{rules, `Address|Public`}, {egress, `TestThreats`}}},
		{`embedded IPv4`, rules + "/address.go", `forms := append([]netip.Addr{addr}, embedded(addr)...)`, `forms := []netip.Addr{addr}`, []suite{{rules, `Public|Metadata`}, {egress, `TestThreats`}}},
		{`guard of every dialled address`, egress + "/dial.go", `if err := guard(addr); err != nil {`, `if err := guard(addr); err != nil && false {`, []suite{{egress, `TestThreats|Rebinding|Race|TCPRoute`}}},
		{`metadata by connect_to`, egress + "/dial.go", `	if policy.MetadataAddress(addr) {`, `	if false {`, []suite{{egress, `TestThreats`}}},
		{`address guard before an upstream proxy`, egress + "/proxydial.go", `if err := policy.AddressAllowed(addr, route, s.dialer.own); err != nil {`, `if err := policy.AddressAllowed(addr, route, s.dialer.own); err != nil && false {`, []suite{{egress, `Company|UpstreamProxy`}}},
		{`upstream certificate is checked`, egress + "/upstream.go", `		MinVersion:         tls.VersionTLS12,
`, `		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true,
`, []suite{{egress, `StandIn|Authority`}}},
		{`Host agrees with the connection`, egress + "/exchange.go", `if a.name != "" && host != a.name {`, `if false {`, []suite{{egress, `TestThreats|Pipelined`}}},
		{`port agrees with the connection`, egress + "/exchange.go", `if port != 0 && port != a.port {
		return host, mis`, `if false {
		return host, mis`, []suite{{egress, `TestThreats`}}},
		{`SNI agrees with the connection`, egress + "/tlsfront.go", `	if sni != a.name {
		a.conflict`, `	if false {
		a.conflict`, []suite{{egress, `TestThreats`}}},
		{`CONNECT agrees with its Host`, egress + "/explicit.go", `if host != a.name || port != 0 && port != a.port {`, `if (host != a.name || port != 0 && port != a.port) && false {`, []suite{{egress, `ExplicitProxy`}}},
		{`SNI of what is passed through`, egress + "/splice.go", `if hello.serverName == "" || hello.ech {`, `if false {`, []suite{{egress, `Passthrough`}}},
		{`dot segments`, rules + "/target.go", `	if dotSegments(decoded) {`, `	if false {`, []suite{{rules, `Target`}, {egress, `TestThreats`}}},
		{`ambiguous paths`, rules + "/target.go", `	t.ambiguous = ambiguity(t.Path, decoded)`, `	_ = ambiguity`, []suite{{rules, `Target|Ambig|Decide`}, {egress, `TestThreats`}}},
		{`escaped control bytes`, rules + "/target.go", `case path && (c < ' ' || c == 0x7f):`, `case false:`, []suite{{rules, `Target`}, {egress, `TestThreats`}}},
		{`header names are tokens`, egress + "/head.go", `if !ok || !policy.ValidFieldName(name) {`, `if !ok {`, []suite{{egress, `TestThreats|Head`}}},
		{`exactly one Host`, egress + "/h1front.go", `if in.header.Count("Host") != 1 {`, `if in.header.Count("Host") == 0 {`, []suite{{egress, `TestThreats`}}},
		{`TRACE and CONNECT inside`, rules + "/decide.go", `if q.method == "TRACE" || q.method == "TRACK" || q.method == "CONNECT" {`, `if false {`, []suite{{rules, `Decide|Method|Trace`}, {egress, `TestThreats|NoOtherProtocol`}}},
		{`fields that Connection names`, egress + "/sanitise.go", `slices.Contains(named, name), `, `slices.Contains(named[:0], name), `, []suite{{egress, `Headers`}}},
		{`other protocols by extended CONNECT`, egress + "/websocketh2.go", `!strings.EqualFold(protocol[0], "websocket") || `, ``, []suite{{egress, `NoOther`}}},
		{`names that no route allows do not exist`, resolver + "/answer.go", `|| !s.deps.Allowed(name) && !s.asked(name) {`, `{`, []suite{{resolver, `Answers|Fuzz`}}},
		{`only canonical names resolve`, resolver + "/answer.go", `err != nil || canonical != name || `, `_ = canonical; err != nil || `, []suite{{resolver, `Canonical`}}},
		{`labels below a wildcard are scanned`, sidecar + "/names.go", `	if len(found) == 0 {`, `	if true {`, []suite{{sidecar, `LabelsBelow`}}},
		{`ports of a route`, rules + "/decide.go", `		if !slices.Contains(candidate.ports, q.port) {`, `		if false {`, []suite{{rules, `Specific|Agrees|Explain`}, {egress, `TestThreats|Port`}}},
	}
}

// messages are about how a request and its answer are read and written.
func messages() []guard {
	return []guard{
		{`CL and TE, duplicates`, egress + "/head.go", `	case codings > 1, lengths > 1, codings == 1 && lengths == 1, codings == 1 && minor == 0:`, `	case false:`, []suite{{egress, `TestThreats|Head`}}},
		{`aliases of framing fields`, egress + "/head.go", `		case framingAlias(name):`, `		case false:`, []suite{{egress, `TestThreats|Head`}}},
		{`chunk extensions`, egress + "/h1front.go", `strict: true,`, `strict: false,`, []suite{{egress, `Chunk`}}},
		{`answers nobody asked for`, egress + "/h1upstream.go", `		quiet = errors.Is(err, unix.EAGAIN)`, `		quiet = true; _ = err`, []suite{{egress, `Unasked`}}},
		{`git push`, rules + "/decide.go", `	if service == gitPush {`, `	if false {`, []suite{{rules, `Git`}, {egress, `TestThreats`}}},
		{`the agent's own credentials`, egress + "/sanitise.go", `	if alias == "authorization" {
		return true`, `	if alias == "authorization" {
		return false`, []suite{{egress, `Headers|Credential`}}},
		{`forwarding fields`, egress + "/sanitise.go", `forwarding(name), !websocket`, `!websocket`, []suite{{egress, `Headers`}}},
		{`a credential in the clear`, egress + "/exchange.go", `if route.Auth != nil && !a.tls && !loopbackTarget(route) {`, `if false {`, []suite{{egress, `TestThreats`}}},
		{`unresolvable credential`, egress + "/sanitise.go", `if err != nil || token.Empty() {`, `if (err != nil || token.Empty()) && false {`, []suite{{egress, `TestThreats`}}},
		{`Alt-Svc is removed`, egress + "/message.go", `"content-length", "alt-svc", "alternate-protocol", "alt-used":`, `"content-length":`, []suite{{egress, `Steer`}}},
		{`HTTP/2 in the clear`, egress + "/transparent.go", `return len(method) > 0 && !bytes.HasPrefix(b, []byte(h2Preface)), false`, `return len(method) > 0, false`, []suite{{egress, `InTheClear|TestThreats|OnlyHTTP1`}}},
		{`WebSocket handshake of the upstream`, egress + "/websocket.go", `func badHandshake(asked, answer Header, h2 bool) string {`, `func badHandshake(asked, answer Header, h2 bool) string {
	if !h2 || h2 {
		return ""
	}`, []suite{{egress, `NoWebSocket|OnlyDeflate`}}},
		{`WebSocket frames`, egress + "/frames.go", `if masked != f.masked || !f.legal() {`, `if false {`, []suite{{egress, `NoWebSocket|NoOther|Frame`}}},
		{`messages pass the Inspector`, egress + "/websocket.go", `		out = x.inspector.Messages(ctx, Outbound, out)
`, ``, []suite{{egress, `Messages`}}},
		{`unknown WebSocket extensions`, egress + "/sanitise.go", `		h = onlyDeflate(h)
`, ``, []suite{{egress, `OnlyDeflate`}}},
		{`verdict of a SOCKS5 target`, egress + "/socks.go", `if !decision.Allow && !s.asks(rules, decision) {`, `if false {`, []suite{{egress, `SOCKS`}}},
		{`SOCKS5 commands`, egress + "/socks.go", `	if head[1] != 1 {`, `	if false {`, []suite{{egress, `SOCKS`}}},
		{`requests on a tcp route`, rules + "/decide.go", `if candidate.route.Protocol == ProtocolTCP {`, `if false {`, []suite{{rules, `TCP`}, {egress, `TCPRoute`}}},
		{`tcp beside HTTP on a port`, rules + "/rules.go", `	if (a.Protocol == ProtocolTCP) != (b.Protocol == ProtocolTCP) {
		for`, `	if false {
		for`, []suite{{rules, `TCP`}}},
		{`tcp wildcards`, rules + "/rules.go", `	case strings.HasPrefix(route.Host, "*."):
		return errors.New("protocol tcp`, `	case false:
		return errors.New("protocol tcp`, []suite{{rules, `TCP`}}},
		{`fields of a trailer that steer`, egress + "/sanitise.go", `		case "host", "authorization", "set-cookie", "cookie", "content-type", "content-encoding", "content-range", "location":
			return true
`, `		case "":
			return true
`, []suite{{egress, `Trailer`}}},
	}
}

// limits are about time, size and number, and about live changes.
func limits() []guard {
	return []guard{
		{`limit: connections`, egress + "/exchange.go", `	if a.full {`, `	if false {`, []suite{{egress, `TooManyConn`}}},
		{`limit: requests`, egress + "/budget.go", `n > int64(s.limits.Requests)`, `false && n > 0`, []suite{{egress, `TooManyReq`}}},
		{`limit: bytes of bodies`, egress + "/budget.go", `	if spent := m.budget.spend(n); spent != nil {`, `	if spent := m.budget.spend(n); false {`, []suite{{egress, `Budget|Tunnels`}}},
		{`limit: bytes of heads`, egress + "/exchange.go", `if err := s.sent.spend(headSize(len(out.method)+len(out.target), out.header)); err != nil {`, `if err := error(nil); err != nil {`, []suite{{egress, `HeadsSpend`}}},
		{`limit: total time`, egress + "/budget.go", `context.WithTimeout(ctx, s.limits.Total)`, `context.WithCancel(ctx)`, []suite{{egress, `TooLongInAll|SlowBody`}}},
		{`limit: total time of a tunnel`, egress + "/tunnel.go", `return context.WithTimeout(ctx, s.limits.Total)`, `return context.WithCancel(ctx)`, []suite{{egress, `TunnelEnds`}}},
		{`limit: silence of a tunnel`, egress + "/silence.go", `		end()
`, ``, []suite{{egress, `TunnelLives`}}},
		{`limit: heads over HTTP/2`, egress + "/h2front.go", `if headSize(len(r.RequestURI), rq.header) > s.limits.HeaderBytes || len(rq.header) > maxFields {`, `if false {`, []suite{{egress, `LongHeads`}}},
		{`floods of HTTP/2`, egress + "/h2meter.go", `	return c.left >= 0
`, `	return true
`, []suite{{egress, `Floods`}}},
		{`a head in pieces ends in time`, egress + "/h2meter.go", `		c.base.until(c.s.deps.Now().Add(c.s.limits.Head))
`, ``, []suite{{egress, `Pieces`}}},
		{`an answer after we closed is cut`, egress + "/h1upstream.go", `		if b.cut {`, `		if false {`, []suite{{egress, `ThatWeCut`}}},
		{`what the Inspector changed is decided again`, egress + "/exchange.go", `if d := g.rules.Decide(again); !d.Allow {`, `if false {
		var d policy.Decision`, []suite{{egress, `Inspector|Decided`}}},
		{`a provider's routes stay`, rules + "/change.go", `		if r.Owner != "" {`, `		if false {`, []suite{{rules, `Provider|Change`}}},
		{`nobody else's route becomes a provider's`, rules + "/change.go", `		case r.Owner != "":`, `		case false:`, []suite{{rules, `Provider|Change`}}},
		{`a provider's host is not taken over`, rules + "/change.go", `if o.Owner != "" && takesOver(r.Host, o.Host) {`, `if false {`, []suite{{rules, `Provider|Change`}}},
		{`a provider's credential goes nowhere else`, rules + "/change.go", `		case r.Auth != nil && owned[r.Auth.TokenRef] != "":`, `		case false:`, []suite{{rules, `Provider|Change`}}},
		{`only routes change`, rules + "/change.go", `	if !reflect.DeepEqual(before, after) {`, `	if false && !reflect.DeepEqual(before, after) {`, []suite{{rules, `Provider|Change`}}},
		{`a tunnel that broke is cut`, egress + "/splice.go", `	reset(h.to)
}`, `	_ = h.to.Close()
}`, []suite{{egress, `Cut`}}},
	}
}
