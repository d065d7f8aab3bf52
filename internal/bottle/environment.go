package bottle

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// environment is the agent's: what every bottle has, then the plan's own entries, which win.
// Forwarded and asked values are only here and in the agent's process.
func (r *running) environment() []string {
	vars := base(r.Term)
	if !r.Key.Empty() {
		vars["BOT_BOTTLE_CANARY"] = canary(r.Key, r.Plan.ID)
	}
	for _, e := range r.Plan.Env {
		value := e.Value
		if v, ok := r.Env[e.Name]; ok {
			value = v.Reveal()
		}
		vars[e.Name] = value
	}
	return joined(vars)
}

func joined(vars map[string]string) []string {
	out := make([]string, 0, len(vars))
	for name, value := range vars {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// base is the environment that every program in a bottle gets.
func base(term string) map[string]string {
	if term == "" {
		term = "xterm-256color"
	}
	vars := map[string]string{
		"HOME": plan.Home, "USER": plan.User, "LOGNAME": plan.User, "SHELL": "/bin/bash",
		"PATH": "/home/node/.local/bin:/bottle/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG": "C.UTF-8", "TERM": term, "COLORTERM": "truecolor",
		"BOT_BOTTLE":          "1",
		"NODE_EXTRA_CA_CERTS": plan.CABundle, "SSL_CERT_FILE": plan.CABundle, "SSL_CERT_DIR": plan.CADir,
		"REQUESTS_CA_BUNDLE": plan.CABundle, "CURL_CA_BUNDLE": plan.CABundle, "GIT_SSL_CAINFO": plan.CABundle,
		"CARGO_HTTP_CAINFO": plan.CABundle, "PIP_CERT": plan.CABundle, "DENO_CERT": plan.CABundle, "AWS_CA_BUNDLE": plan.CABundle,
	}
	if hasJava() {
		vars["JAVA_TOOL_OPTIONS"] = "-Djavax.net.ssl.trustStore=" + plan.JavaTrust +
			" -Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword=" + plan.JavaTrustPassword
	}
	proxy := "http://" + net.JoinHostPort(plan.SidecarIPv4, strconv.Itoa(plan.ProxyPort))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		vars[name], vars[strings.ToLower(name)] = proxy, proxy
	}
	const local = "localhost,127.0.0.1,::1," + plan.SuperviseHost + "," + plan.GateHost
	vars["NO_PROXY"], vars["no_proxy"] = local, local
	return vars
}
