package manifest

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// decodeUser reads git-gate.user of a bottle or an agent; nil means not declared.
func decodeUser(git *node) (name, email *string) {
	user := git.get("user")
	if v, at := user.str("name"); at != nil {
		name = &v
	}
	if v, at := user.str("email"); at != nil {
		email = &v
	}
	return name, email
}

// decodeSign reads what commits carry besides the identity. An empty value takes the parents' away.
func decodeSign(l *layer, git *node) {
	if sign := git.get("sign"); sign != nil && (sign.kind == mappingNode || sign.kind == nullNode) {
		key, _ := sign.str("key")
		l.sign = &key
		l.own("git-gate.sign")
	}
	if at := git.get("trailer"); at != nil && (at.kind == textNode || at.kind == nullNode) {
		l.trailer = &at.text
		l.own("git-gate.trailer")
	}
}

func decodeRepos(r *report, l *layer, git *node) {
	repos := git.get("repos")
	if repos == nil {
		return
	}
	l.repos = map[string]Repo{}
	l.own("git-gate.repos")
	for _, e := range repos.entries {
		if e.value.kind != mappingNode {
			continue // the shape has said so
		}
		if strings.Trim(e.key, ".") == "" {
			r.fail(e.at, "is not a repository's name", "")
			continue
		}
		l.repos[e.key] = decodeRepo(r, e.key, e.value)
		l.own("git-gate.repos." + e.key)
	}
}

func decodeRepo(r *report, name string, n *node) Repo {
	repo := Repo{Name: name}
	var at *node
	sound := false
	if repo.URL, at = n.str("url"); at != nil {
		if wrong := remoteURL(r, repo.URL); wrong != "" {
			r.fail(at, wrong, "write ssh://git@HOST/PATH, git@HOST:PATH or https://HOST/PATH")
		} else {
			sound = true
		}
	}
	repo.Key = decodeRepoKey(r, n)
	repo.Push = decodePush(r, n.get("push"))
	if secure := strings.HasPrefix(repo.URL, "https://"); sound && repo.Key.Provider != "" && secure != (repo.Key.Provider == "token") {
		r.fail(n, "has a key that does not fit its url", "an https url takes key: {provider: token, token_ref: …}, an SSH remote takes static, gitea or github")
	}
	if repo.HostKey, at = n.str("host_key"); at != nil {
		checkHostKey(r, at, repo.HostKey)
	}
	if hosts := n.get("extra_hosts"); hosts != nil && len(hosts.entries) > 0 {
		repo.ExtraHosts = map[string]netip.Addr{}
		for _, e := range hosts.entries {
			decodeExtraHost(r, repo.ExtraHosts, e)
		}
	}
	return repo
}

// decodePush reads what may be pushed. refs/replace can never be.
func decodePush(r *report, n *node) plan.GitPush {
	var p plan.GitPush
	for _, at := range n.get("refs").list() {
		if at.kind != textNode {
			continue
		}
		if strings.HasPrefix(at.text, "refs/replace") || at.text == "*" || at.text == "refs/*" {
			r.fail(at, "lets more through than branches and tags that are named", "write refs/heads/* or refs/tags/*")
		}
		p.Refs = append(p.Refs, at.text)
	}
	if v := n.get("force"); v != nil {
		p.Force = v.truth
	}
	if v := n.get("delete"); v != nil {
		p.Delete = v.truth
	}
	if v := n.get("max_bytes"); v != nil {
		p.MaxBytes = v.whole
	}
	return p
}

func decodeExtraHost(r *report, to map[string]netip.Addr, e entry) {
	host, wrong, hint := plainHost(e.key)
	if wrong != "" {
		r.fail(e.at, wrong, hint)
	}
	if e.value.kind != textNode || e.value.text == "" {
		return
	}
	addr, err := netip.ParseAddr(e.value.text)
	switch {
	case err != nil || addr.Zone() != "" || addr.Is4In6():
		r.fail(e.value, shown(e.value.text)+" is not an IP address", "")
	case policy.MetadataAddress(addr):
		r.fail(e.value, isMetadata, "")
	default:
		to[host] = addr
	}
}

// remoteURL says what is wrong with a remote. Its parts end up on the command line of ssh, so
// none may begin with a dash.
func remoteURL(r *report, written string) (wrong string) {
	const notSSH = "is neither an SSH remote nor an https one, the only kinds that the gate can hold a key for"
	var user, host, path string
	if strings.Contains(written, "://") {
		u, err := url.Parse(written)
		if err != nil || u.Scheme != "ssh" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			return notSSH
		}
		if _, has := u.User.Password(); has || u.Scheme == "https" && u.User != nil {
			return "holds a user or a password"
		}
		if port := u.Port(); port != "" && !validPort(port) {
			return "has a port out of range"
		}
		user, host, path = u.User.Username(), u.Hostname(), strings.TrimPrefix(u.Path, "/")
	} else {
		front, rest, found := strings.Cut(written, ":")
		if !found || strings.Contains(front, "/") {
			return notSSH
		}
		host, path = front, rest
		if before, after, found := strings.Cut(front, "@"); found {
			user, host = before, after
		}
	}
	if _, wrong, _ := plainHost(host); wrong != "" {
		return "has a host that " + wrong
	}
	if !r.matches(`^([A-Za-z0-9_][A-Za-z0-9._-]*)?$`, user) {
		return "has an odd user"
	}
	if !r.matches(`^[A-Za-z0-9~._/][A-Za-z0-9~._/+@-]*$`, path) {
		return "has an odd path"
	}
	return ""
}

// decodeRepoKey reads key, or one of its older spellings.
func decodeRepoKey(r *report, n *node) Key {
	var forms []string
	for _, form := range []string{"key", "identity", "provisioned_key"} {
		if n.get(form) != nil {
			forms = append(forms, form)
		}
	}
	if len(forms) == 0 {
		r.fail(n, `needs the key "key"`, "such as key: {provider: static, path: ~/.ssh/id_ed25519}")
		return Key{}
	}
	if len(forms) > 1 {
		r.fail(n.get(forms[1]), "says again what "+forms[0]+" says", "keep one")
	}
	if path, at := n.str("identity"); at != nil {
		return Key{Provider: "static", Path: path}
	}
	return decodeKey(r, n.get(forms[0]))
}

func decodeKey(r *report, n *node) Key {
	var k Key
	var path, token, api *node
	k.Provider, _ = n.str("provider")
	k.Path, path = n.str("path")
	k.TokenRef, token = tokenRef(r, n, "token_ref"), n.get("token_ref")
	k.APIURL, api = n.str("api_url")
	var user *node
	k.User, user = n.str("username")
	if user != nil && k.Provider != "token" {
		r.fail(user, "has no meaning with provider: "+k.Provider, "")
	}
	switch k.Provider {
	case "token":
		if token == nil {
			r.fail(n, `needs the key "token_ref"`, "where the token is")
		}
		for _, at := range []*node{path, api} {
			if at != nil {
				r.fail(at, "has no meaning with provider: token", "")
			}
		}
	case "static":
		if n.get("path") == nil {
			r.fail(n, `needs the key "path"`, "the private key's file")
		}
		for _, at := range []*node{token, api} {
			if at != nil {
				r.fail(at, "has no meaning with provider: static", "")
			}
		}
	case "gitea", "github":
		if token == nil {
			r.fail(n, `needs the key "token_ref"`, "where the forge's token is")
		}
		if path != nil {
			r.fail(path, "has no meaning with provider: "+k.Provider, "")
		}
	}
	return k
}

// checkHostKey checks a line of known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). A key that
// does not decode is a warning: no server can match it, so pushes fail closed.
func checkHostKey(r *report, at *node, line string) {
	fields := strings.Fields(line)
	if len(fields) < 3 || strings.HasPrefix(fields[0], "@") {
		r.fail(at, "is not a line of known_hosts", `write "HOST KEYTYPE KEY", as ssh-keyscan prints it`)
		return
	}
	kinds := []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
		"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}
	known := false
	for _, kind := range kinds {
		known = known || kind == fields[1]
	}
	if !known {
		r.fail(at, shown(fields[1])+" is not a type of host key", nearOrListed(fields[1], "types", kinds))
		return
	}
	if blob, err := base64.StdEncoding.DecodeString(fields[2]); err != nil || !isKey(blob, fields[1]) {
		r.warn(at, "does not hold a whole "+fields[1]+" key, so every push will be refused", "copy the line that ssh-keyscan prints")
	}
}

// isKey reports whether a blob is a whole public key of the kind: strings with a length of four
// bytes before each, the first of them the kind (RFC 4253 section 6.6).
func isKey(blob []byte, kind string) bool {
	parts := 0
	for ; len(blob) >= 4; parts++ {
		size := uint64(binary.BigEndian.Uint32(blob))
		if blob = blob[4:]; size > uint64(len(blob)) || parts == 0 && string(blob[:size]) != kind {
			return false
		}
		blob = blob[size:]
	}
	return len(blob) == 0 && parts >= 2
}
