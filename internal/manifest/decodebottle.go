package manifest

import (
	"slices"
	"strings"
)

// decodeBottle reads one bottle file. templates are the known providers; nil checks no template.
func decodeBottle(r *report, name string, content []byte, templates []string) *layer {
	l := newLayer(name)
	front, _, ok := split(r, content, "---, the bottle's keys, and another ---")
	if !ok {
		return l
	}
	root := parseYAML(r, front, 1)
	if root == nil {
		return l
	}
	bottleShape().check(r, root)
	l.extends = root.get("extends").list()
	decodeEnv(r, l, root.get("env"))
	decodeProvider(r, l, root.get("agent_provider"), templates)
	if v, at := root.str("workspace"); at != nil {
		mode := Workspace(v)
		l.workspace = &mode
		l.own("workspace")
	}
	if v := root.get("supervise"); v != nil && v.kind == boolNode {
		l.supervise = &v.truth
		l.own("supervise")
	}
	decodeResources(r, l, root.get("resources"))
	git := root.get("git-gate")
	l.userName, l.userEmail = decodeUser(git)
	if l.userName != nil {
		l.own("git-gate.user.name")
	}
	if l.userEmail != nil {
		l.own("git-gate.user.email")
	}
	decodeSign(l, git)
	decodeRepos(r, l, git)
	decodeEgress(r, l, root.get("egress"))
	return l
}

// own notes that a field comes from this very file.
func (l *layer) own(field string) { l.from[field] = l.name }

func decodeEnv(r *report, l *layer, n *node) {
	if n == nil {
		return
	}
	l.env = map[string]Env{}
	for _, e := range n.entries {
		if e.value.kind == textNode {
			l.env[e.key] = decodeVariable(r, e.key, e.value)
			l.own("env." + e.key)
		}
	}
}

func decodeVariable(r *report, name string, v *node) Env {
	if question, asked := strings.CutPrefix(v.text, "?"); asked {
		if question = strings.TrimSpace(question); question == "" {
			question = "Value of " + name
		}
		return Env{Name: name, Mode: EnvAsk, Ref: question}
	}
	inner, opens := strings.CutPrefix(v.text, "${")
	inner, closes := strings.CutSuffix(inner, "}")
	switch {
	case opens && closes && r.matches(variablePattern, inner):
		return Env{Name: name, Mode: EnvHost, Ref: inner}
	case opens && closes && !strings.Contains(inner, "${"):
		r.fail(v, "does not hold a variable's name between ${ and }", "there are no defaults and no expressions; write ${NAME}")
	case strings.Contains(v.text, "${"):
		r.warn(v, "holds ${ inside other text, which is passed on as it is written", "only a whole value ${NAME} is replaced")
	case strings.ContainsRune(v.text, 0):
		r.fail(v, "holds a NUL byte", "")
	}
	return Env{Name: name, Mode: EnvLiteral, Value: v.text}
}

func decodeProvider(r *report, l *layer, n *node, templates []string) {
	if n == nil {
		return
	}
	p := &Provider{}
	var at *node
	if p.Template, at = n.str("template"); at != nil && templates != nil && !slices.Contains(templates, p.Template) {
		r.fail(at, "there is no provider "+shown(p.Template), nearOrListed(p.Template, "providers", templates))
	}
	p.Dockerfile, _ = n.str("dockerfile")
	p.AuthToken = tokenRef(r, n, "auth_token")
	if v := n.get("forward_host_credentials"); v != nil {
		p.ForwardHostCredentials = v.truth
	}
	l.provider = p
	l.own("agent_provider")
}

// tokenRef reads a reference to a secret, and refuses one that is the secret: its name would be
// printed everywhere.
func tokenRef(r *report, n *node, key string) string {
	ref, at := n.str(key)
	if at == nil {
		return ""
	}
	const token = `^((gh[opsur]|github_pat|npm|hf|sk_live)_[A-Za-z0-9_]{20,}|AKIA[A-Z0-9]{16})$`
	if r.matches(token, ref) && strings.ContainsAny(ref, "0123456789") {
		r.fail(at, "looks like a token, not like the name of a variable", "put the token into a variable of the host and write the variable's name")
		return ""
	}
	return ref
}
