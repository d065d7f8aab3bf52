package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// BottleDraft is what a person is asked for a first bottle; "" and nil leave a part out.
type BottleDraft struct {
	Name      string
	Template  string
	AuthToken string
	Workspace Workspace
	GitName   string
	GitEmail  string
	Hosts     []string
}

// Text is a bottle file that says what was answered, and shows in comments what more can be said.
// It validates when the answers do.
func (d BottleDraft) Text() string {
	var b strings.Builder
	b.WriteString("---\n")
	if d.Template != "" || d.AuthToken != "" {
		b.WriteString("agent_provider:\n")
		line(&b, "  template", d.Template)
		line(&b, "  auth_token", d.AuthToken)
	}
	b.WriteString("# copy brings a copy of the directory in; none starts with an empty one\n")
	line(&b, "workspace", string(d.Workspace))
	b.WriteString("# env:\n#   LOG_LEVEL: debug             # a literal\n#   NPM_TOKEN: ${NPM_TOKEN}      # forwarded from the host\n" +
		"#   DB_PASSWORD: \"?Database\"     # asked on the terminal\n")
	if d.GitName != "" || d.GitEmail != "" {
		b.WriteString("git-gate:\n  user:\n")
		line(&b, "    name", d.GitName)
		line(&b, "    email", d.GitEmail)
	}
	b.WriteString("# Nothing leaves but the provider's own API and what stands here.\negress:\n")
	if len(d.Hosts) == 0 {
		b.WriteString("  routes: []\n")
	} else {
		b.WriteString("  routes:\n")
	}
	for _, host := range d.Hosts {
		b.WriteString("    - host: " + strconv.Quote(host) + "\n")
	}
	b.WriteString("  # routes:\n  #   - host: api.github.com\n  #     matches: [{paths: [{type: prefix, value: /repos/acme/}], methods: [GET]}]\n" +
		"  #     auth: {scheme: Bearer, token_ref: GH_TOKEN}\n")
	fmt.Fprintf(&b, "---\n\nWhat the bottle %s is for.\n", d.Name)
	return b.String()
}

// AgentDraft is what a person is asked for a first agent.
type AgentDraft struct {
	Name   string
	Bottle string
	Skills []string
	Prompt string
}

// Text is an agent file that says what was answered. It validates when the answers do.
func (d AgentDraft) Text() string {
	var b strings.Builder
	b.WriteString("---\n")
	line(&b, "bottle", d.Bottle)
	if len(d.Skills) > 0 {
		b.WriteString("skills:\n")
		for _, skill := range d.Skills {
			b.WriteString("  - " + strconv.Quote(skill) + "\n")
		}
	} else {
		b.WriteString("# skills: [name]   # folders of ~/.claude/skills to bring in\n")
	}
	b.WriteString("---\n\n" + strings.TrimSpace(d.Prompt) + "\n")
	return b.String()
}

// line writes a key with a quoted value; nothing for an empty one.
func line(b *strings.Builder, key, value string) {
	if value != "" {
		b.WriteString(key + ": " + strconv.Quote(value) + "\n")
	}
}
