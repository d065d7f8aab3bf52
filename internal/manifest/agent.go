package manifest

import "strings"

// Agent is a purpose: what runs in a bottle, and as whom.
type Agent struct {
	Name   string   `json:"name"`
	Source Source   `json:"source"`
	File   string   `json:"file,omitempty"` // "" for a built-in
	Bottle string   `json:"bottle"`
	Skills []string `json:"skills"`
	// User overlays the bottle's identity field by field; "" leaves the bottle's.
	User GitUser `json:"user"`
	// Prompt is the body, trimmed. A repository's agent holds text of whoever wrote the repository.
	Prompt string `json:"prompt"`

	bottleAt *node
}

// decodeAgent reads one agent file.
func decodeAgent(r *report, name string, content []byte) *Agent {
	a := &Agent{Name: name, Skills: []string{}}
	front, body, ok := split(r, content, "---, a line bottle: NAME, and another ---")
	if !ok {
		return a
	}
	a.Prompt = strings.TrimSpace(body)
	root := parseYAML(r, front, 1)
	if root == nil {
		return a
	}
	agentShape().check(r, root)
	a.Bottle, a.bottleAt = root.str("bottle")
	seen := map[string]bool{}
	for _, item := range root.get("skills").list() {
		switch {
		case item.kind != textNode || item.text == "":
		case seen[item.text]:
			r.fail(item, shown(item.text)+" is listed twice", "")
		default:
			seen[item.text] = true
			a.Skills = append(a.Skills, item.text)
		}
	}
	userName, email := decodeUser(root.get("git-gate"))
	set(&a.User.Name, userName)
	set(&a.User.Email, email)
	return a
}
