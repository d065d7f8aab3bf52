package manifest

// Patterns are written in the subset that RE2 and ECMAScript share, for the schema.
const (
	namePattern     = `^[a-z][a-z0-9-]{0,47}$`
	variablePattern = `^[A-Za-z_][A-Za-z0-9_]*$`
	refPattern      = `^([A-Za-z_][A-Za-z0-9_]*|file:.+|cmd:.+|keyring:[^/]+/.+)$`
	proxyPattern    = `^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|https?://.+|file:.+|cmd:.+|keyring:[^/]+/.+)$`
	repoPattern     = `^[A-Za-z0-9._-]+$`
	skillPattern    = `^[A-Za-z0-9_][A-Za-z0-9._-]*$`
	rulePattern     = `^[a-z0-9][a-z0-9-]*(:.+)?$`
	printPattern    = `^[0-9a-f]{16}$`
	trailerPattern  = `^[A-Za-z0-9][A-Za-z0-9-]*: [^ ].{0,199}$`
	headerPattern   = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
)

const refWords = "a host variable's name, file:PATH, cmd:COMMAND or keyring:SERVICE/USER"

func nameShape(doc string) shape {
	return shape{kind: text, doc: doc, pattern: namePattern, want: "a name: a lower-case letter, then letters, digits and dashes"}
}

func refShape(doc string) shape {
	return shape{kind: text, doc: doc + ": " + refWords + ".", pattern: refPattern, want: refWords, secret: true}
}

func textList(doc string, each shape) shape {
	return shape{kind: list, doc: doc, each: &each, filled: true}
}

// bottleShape is the frontmatter of a bottle.
func bottleShape() *shape {
	parent := nameShape("A bottle's name.")
	return &shape{kind: object, doc: "A bottle: the policy of a sandbox.", empty: true, keys: []key{
		{name: "extends", is: shape{kind: list, single: true, each: &parent, filled: true,
			doc: "A parent bottle, or a list of them, folded left to right; this file goes on top."}},
		{name: "env", is: envShape()},
		{name: "agent_provider", is: providerShape()},
		{name: "workspace", is: shape{kind: text, enum: []string{"copy", "none"},
			doc: "copy brings a copy of the caller's directory in. Default none."}},
		{name: "git-gate", is: gitShape()},
		{name: "egress", is: egressShape()},
		{name: "supervise", is: shape{kind: boolean,
			doc: "Whether the agent may ask the operator for more. Default true."}},
		{name: "resources", is: resourcesShape()},
	}, removed: []removedKey{
		{"git", "was removed", "write git-gate: {repos: …}"},
		{"git_user", "was removed", "write git-gate: {user: …}"},
		{"tokens", "was removed", "write auth: {scheme: …, token_ref: …} at a route of egress"},
		{"cred_proxy", "was removed", "write auth: {scheme: …, token_ref: …} at a route of egress"},
		{"ssh", "was removed", "write git-gate: {repos: …} with a key for each"},
	}}
}

func envShape() shape {
	return shape{kind: dict, empty: true,
		doc:  "Variables of the agent. Parents' variables stay unless named here.",
		name: &shape{kind: text, pattern: variablePattern, want: "a variable's name"},
		each: &shape{kind: text, free: true, numbers: true, secret: true,
			doc: "A literal; ${NAME} as the whole value forwards the host's variable; ?QUESTION asks on the terminal."},
	}
}

func providerShape() shape {
	return shape{kind: object, empty: true, doc: "The harness that is run.", keys: []key{
		{name: "template", is: nameShape("claude, codex, or a plugin's name.")},
		{name: "dockerfile", is: shape{kind: text, doc: "A Dockerfile for the docker backend; ~ expands, relative to the caller's directory."}},
		{name: "auth_token", is: refShape("claude: where the token is")},
		{name: "forward_host_credentials", is: shape{kind: boolean, doc: "codex: use the host's own login. Default false."}},
	}}
}

func userShape() shape {
	return shape{kind: object, doc: "The identity that commits claim, overlaid field by field.", keys: []key{
		{name: "name", is: shape{kind: text, doc: "The author's name.", pattern: `^[^<>]*$`, want: "a git user's name"}},
		{name: "email", is: shape{kind: text, doc: "The author's address.", pattern: `^[^<> ]+@[^<> ]+$`, want: "an e-mail address"}},
	}}
}

func gitShape() shape {
	keyShape := shape{kind: object, doc: "Where the remote's key comes from.", keys: []key{
		{name: "provider", required: true, is: shape{kind: text, enum: []string{"static", "token", "gitea", "github"},
			doc: "static: a file. token: an https URL's. gitea, github: a deploy key, made for the run and removed after it."}},
		{name: "path", is: shape{kind: text, doc: "static: the private key's file; ~ expands."}},
		{name: "token_ref", is: refShape("token, gitea, github: the forge's token")},
		{name: "username", is: shape{kind: text, doc: "token: the user that goes with it. Default git.", pattern: `^[^:]+$`, want: "a user name without a colon"}},
		{name: "api_url", is: shape{kind: text, doc: "gitea, github: the forge's API, when it is not the usual one.", pattern: `^https?://[^/@]+(/.*)?$`, want: "an http or https URL without a user", secret: true}},
	}}
	repo := shape{kind: object, doc: "One remote.", keys: []key{
		{name: "url", required: true, is: shape{kind: text, doc: "ssh://git@host[:port]/path, git@host:path, or https://host/path with a token.", secret: true}},
		{name: "key", is: keyShape},
		{name: "host_key", is: shape{kind: text, doc: "The host's line of known_hosts. Absent: pushes fail closed."}},
		{name: "extra_hosts", is: shape{kind: dict, doc: "Addresses of names that DNS does not know.",
			name: &shape{kind: text}, each: &shape{kind: text, doc: "An IP address."}}},
		{name: "push", is: pushShape()},
		{name: "identity", instead: "key: {provider: static, path: PATH}", is: shape{kind: text, doc: "Older spelling of a static key."}},
		{name: "provisioned_key", instead: "key", is: keyShape},
	}}
	return shape{kind: object, empty: true, doc: "Git remotes, reached through a gate that scans.", keys: []key{
		{name: "user", is: userShape()},
		{name: "sign", is: shape{kind: object, empty: true, doc: "Commits and tags of git-gate.user are signed, with a key that stays on the host.", keys: []key{
			{name: "key", is: shape{kind: text, doc: "The private key's file, OpenSSH's and without a passphrase; ~ expands."}},
		}}},
		{name: "trailer", is: shape{kind: text, empty: true, pattern: trailerPattern, want: "a trailer, such as Assisted-by: Claude",
			doc: "A line that every pushed commit ends with, such as Assisted-by: Claude."}},
		{name: "repos", is: shape{kind: dict, empty: true, doc: "Remotes by name. Replaces the parents' repos whole.",
			name: &shape{kind: text, pattern: repoPattern, want: "a repository's name: letters, digits, dots, dashes, underscores"},
			each: &repo}},
	}}
}

// pushShape is what may be pushed to a remote.
func pushShape() shape {
	return shape{kind: object, empty: true, doc: "What may be pushed. Default: the bottle's own branches, bottle/<identity>/*.", keys: []key{
		{name: "refs", is: textList("What may be pushed besides; * stands for any text.",
			shape{kind: text, doc: "A branch, such as main or feature/*, or a full name, such as refs/tags/v*.", pattern: `^[A-Za-z0-9][A-Za-z0-9._/*+-]*$`, want: "a branch or a full name of a ref, with * for any text"})},
		{name: "force", is: shape{kind: boolean, doc: "Whether a push may take commits away. Default false."}},
		{name: "delete", is: shape{kind: boolean, doc: "Whether a push may delete a ref. Default false."}},
		{name: "max_bytes", is: shape{kind: integer, min: 1, max: 1 << 40, doc: "How large one push may be. Default 268435456."}},
	}}
}

func egressShape() shape {
	route := routeShape()
	return shape{kind: object, empty: true,
		doc: "What may leave. Replaces the parents' egress whole; empty denies everything.", keys: []key{
			{name: "log", is: shape{kind: text, enum: []string{"summary", "full"}, doc: "full adds paths and header names, never values. Default summary."}},
			{name: "upstream_proxy", is: shape{kind: text, secret: true, pattern: proxyPattern,
				want: "${NAME}, an http or https URL, file:PATH, cmd:COMMAND or keyring:SERVICE/USER", doc: "A company's proxy to dial through. Default none."}},
			{name: "on_deny", is: shape{kind: text, enum: []string{"refuse", "ask"},
				doc: "ask holds a request that only lacks a route until the operator has decided. Default refuse."}},
			{name: "ask_timeout", is: shape{kind: text, numbers: true, pattern: `^[1-9][0-9]{0,3}[sm]?$`, want: "a time such as 90s or 5m, an hour at most",
				doc: "How long such a request is held, such as 90s or 5m. Default 60s."}},
			{name: "limits", is: limitsShape()},
			{name: "routes", is: shape{kind: list, empty: true, each: &route, doc: "Allowed destinations, one entry for each host."}},
		}}
}

func routeShape() shape {
	entry := matchShape()
	return shape{kind: object, doc: "One allowed destination.", keys: []key{
		{name: "host", required: true, is: shape{kind: text, doc: "A host name, an IP address, or *.example.org for every name below."}},
		{name: "matches", is: textList("What is allowed on the host. Entries are alternatives. Absent: everything.", entry)},
		{name: "auth", is: authShape()},
		{name: "tls", is: shape{kind: text, enum: []string{"intercept", "passthrough"}, doc: "Default intercept. passthrough is neither matched, scanned nor given a credential."}},
		{name: "allow_private", is: shape{kind: list, each: &shape{kind: text}, doc: "Private ranges (CIDR) that the host may resolve to. Default none."}},
		{name: "ports", is: textList("Ports that may be reached. Default 443 and 80.", shape{kind: integer, min: 1, max: 65535})},
		{name: "protocol", is: shape{kind: text, enum: []string{"http", "tcp"}, doc: "Default http. tcp carries a database's or another protocol's connections, unread, to this host on the ports named."}},
		{name: "git", is: shape{kind: text, enum: []string{"none", "fetch"}, doc: "fetch allows clone and fetch over HTTPS without the gate. Default none."}},
		{name: "connect_to", is: shape{kind: text, doc: "HOST:PORT to dial instead; name, SNI and certificate check stay."}},
		{name: "upstream_ca", is: shape{kind: text, doc: "A PEM file, trusted for this host besides the system's roots."}},
		{name: "dlp", is: dlpShape()},
		{name: "role", is: shape{reserved: true}},
		{name: "path_allowlist", instead: "matches: [{paths: [{type: prefix, value: …}]}]",
			is: textList("Older spelling of prefix matches.", shape{kind: text})},
		{name: "pipelock", instead: "tls and allow_private", is: shape{kind: object, doc: "Older spelling of tls and allow_private.", keys: []key{
			{name: "tls_passthrough", is: shape{kind: boolean, doc: "true means tls: passthrough."}},
			{name: "ssrf_ip_allowlist", is: shape{kind: list, each: &shape{kind: text}, doc: "Means allow_private."}},
		}}},
	}}
}

func matchShape() shape {
	path := shape{kind: object, keys: []key{
		{name: "type", required: true, is: shape{kind: text, enum: []string{"prefix", "exact", "regex"}, doc: "How the value is compared with the path. A regex is RE2 and must match the whole path."}},
		{name: "value", required: true, is: shape{kind: text, doc: "A path without query; begins with /."}},
	}}
	header := shape{kind: object, keys: []key{
		{name: "name", required: true, is: shape{kind: text, pattern: headerPattern, want: "a header's name", doc: "A header's name, in any case."}},
		{name: "value", required: true, is: shape{kind: text, doc: "The exact value.", secret: true}},
	}}
	return shape{kind: object, doc: "All of its fields must hold.", keys: []key{
		{name: "paths", is: textList("Any of these.", path)},
		{name: "methods", is: textList("Any of these.", shape{kind: text, doc: "An HTTP method."})},
		{name: "headers", is: textList("All of these.", header)},
	}}
}

func authShape() shape {
	return shape{kind: object, doc: "The credential that is put in; the agent never sees it.", keys: []key{
		{name: "scheme", required: true, is: shape{kind: text, enum: []string{"Bearer", "token", "basic", "header"}, doc: "How it is sent. basic needs username, header needs name."}},
		{name: "token_ref", required: true, is: refShape("Where the value is")},
		{name: "username", is: shape{kind: text, doc: "basic: the user.", pattern: `^[^:]+$`, want: "a user name without a colon"}},
		{name: "name", is: shape{kind: text, doc: "header: its name, such as X-Api-Key.", pattern: headerPattern, want: "a header's name"}},
	}}
}

func dlpShape() shape {
	return shape{kind: object, doc: "What is scanned.", keys: []key{
		{name: "outbound_detectors", is: shape{kind: list, off: true, filled: true, doc: "Default token_patterns and known_secrets; false for none.",
			each: &shape{kind: text, enum: []string{"token_patterns", "known_secrets", "entropy"}}}},
		{name: "inbound_detectors", is: shape{kind: list, off: true, filled: true, doc: "Default naive_injection_detection; false for none.",
			each: &shape{kind: text, enum: []string{"naive_injection_detection"}}}},
		{name: "outbound_on_match", is: shape{kind: text, enum: []string{"block", "redact", "supervise"}, doc: "Default supervise; on a provider's own API redact."}},
		{name: "inbound_on_match", is: shape{kind: text, enum: []string{"alarm", "block"}, doc: "Default alarm: the answer passes and the log says what it held."}},
		{name: "allow", is: textList("Findings that pass.", allowanceShape())},
	}}
}

func allowanceShape() shape {
	return shape{kind: object, doc: "What is named must all hold; rule or fingerprint is needed.", keys: []key{
		{name: "rule", is: shape{kind: text, pattern: rulePattern, want: "a rule's name, as the log shows it", doc: "The rule that found it."}},
		{name: "fingerprint", is: shape{kind: text, pattern: printPattern, want: "16 hex digits, as the log shows them", doc: "The value's fingerprint, as the log and bot-bottle scan show it."}},
		{name: "path", is: shape{kind: text, pattern: `^/`, want: "a path that begins with /", doc: "A prefix of the path. Default every path."}},
	}}
}

// agentShape is the frontmatter of an agent.
func agentShape() *shape {
	ignored := shape{doc: "Ignored, so that the file can also serve as a Claude Code sub-agent."}
	user := userShape()
	return &shape{kind: object, doc: "An agent: a purpose. The text below the frontmatter is its system prompt.", keys: []key{
		{name: "bottle", required: true, is: nameShape("The bottle that it runs in.")},
		{name: "skills", is: shape{kind: list, doc: "Names of skills to bring in.",
			each: &shape{kind: text, pattern: skillPattern, want: "a skill's name: one folder's name"}}},
		{name: "git-gate", is: shape{kind: object, doc: "Overlays the bottle's.", keys: []key{{name: "user", is: user}},
			removed: []removedKey{{"repos", "cannot stand in an agent: it would carry credentials", "declare it in the bottle"}}}},
		{name: "name", is: ignored},
		{name: "description", is: ignored},
		{name: "model", is: ignored},
		{name: "color", is: ignored},
		{name: "memory", is: ignored},
	}}
}
