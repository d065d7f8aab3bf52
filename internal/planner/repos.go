package planner

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/manifest"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// repos lists the declared remotes with where their keys are. The keys are not read here.
func (m *maker) repos() {
	g := &m.out.Plan.Git
	for _, r := range m.bottle.Git.Repos {
		where := "git-gate.repos." + r.Name
		out := plan.GitRepo{Name: r.Name, URL: r.URL, HostKey: r.HostKey, Hosts: r.ExtraHosts, Push: r.Push}
		switch r.Key.Provider {
		case "static":
			out.Key = m.keyFile(where, r.Key.Path)
		case "token":
			out.Token, out.User = r.Key.TokenRef, r.Key.User
		default:
			out.Forge = m.forge(where, r)
		}
		if r.HostKey == "" && !strings.HasPrefix(r.URL, "https://") {
			m.note(where + ": no host_key, so that nothing is fetched or pushed; ssh-keyscan prints it")
		}
		g.Repos = append(g.Repos, out)
	}
	if g.Gated() {
		m.gate()
	}
}

// keyFile finds a private key. A relative path starts where the bottles are.
func (m *maker) keyFile(where, written string) string {
	path := m.host.expand(written)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		m.problem(fault.NotFound, "make a deploy key with ssh-keygen -t ed25519 -N '' -f "+path, "%s.key: there is no file %s", where, path)
		return path
	}
	if info.Mode().Perm()&0o077 != 0 {
		m.note(where + ".key: " + path + " can be read by others; chmod 600 it")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// forge says where a deploy key is made: at the API that is named, else the usual one of the
// remote's host.
func (m *maker) forge(where string, r manifest.Repo) *plan.GitForge {
	host, path := remoteParts(r.URL)
	f := &plan.GitForge{API: strings.TrimSuffix(r.Key.APIURL, "/"), TokenRef: r.Key.TokenRef}
	segments := strings.Split(strings.TrimSuffix(strings.Trim(path, "/"), ".git"), "/")
	if len(segments) < 2 {
		m.problem(fault.Invalid, "write ssh://git@HOST/OWNER/NAME.git", "%s.url: %s names no owner, whose deploy key could be made", where, r.URL)
		return f
	}
	f.Owner, f.Name = segments[len(segments)-2], segments[len(segments)-1]
	switch {
	case f.API != "":
	case r.Key.Provider == "github" && host == "github.com":
		f.API = "https://api.github.com"
	case r.Key.Provider == "github":
		f.API = "https://" + host + "/api/v3"
	default:
		f.API = "https://" + host + "/api/v1"
	}
	if !strings.HasPrefix(f.API, "https://") {
		m.problem(fault.Invalid, "write https://…", "%s.key.api_url: the forge's token is sent over https only, not to %s", where, f.API)
	}
	m.note(where + ": a deploy key is made at " + f.API + " for this run, and revoked at its end")
	return f
}

// remoteParts are the host and the path of a remote, which the manifest has checked.
func remoteParts(remote string) (host, path string) {
	if u, err := url.Parse(remote); err == nil && u.Host != "" {
		return u.Hostname(), u.Path
	}
	front, path, _ := strings.Cut(remote, ":")
	if _, after, found := strings.Cut(front, "@"); found {
		front = after
	}
	return front, path
}
