package plan

import "strings"

// ownedPrefix begins the name of each file below the home that is the program's own: the prompt, the
// bait, the trust store.
const ownedPrefix = Home + "/.bot-bottle"

// OwnsFile reports whether the program alone says what is at a path inside the bottle.
func OwnsFile(path string) bool { return strings.HasPrefix(path, ownedPrefix) }

// OwnsVariable reports whether a variable says how a program in the bottle reaches the sidecar and
// why it trusts it. The owner of a bottle may set it, nobody else.
func OwnsVariable(name string) bool {
	upper := strings.ToUpper(name)
	if upper == "BOT_BOTTLE" || strings.HasPrefix(upper, "BOT_BOTTLE_") {
		return true
	}
	switch upper {
	case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
		"CARGO_HTTP_CAINFO", "PIP_CERT", "DENO_CERT", "AWS_CA_BUNDLE", "JAVA_TOOL_OPTIONS":
		return true
	}
	return false
}
