package planner

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
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
			m.problem(fault.Unsupported, "name a deploy key's file with provider: static", "%s.key: provider: %s is not enforced in this version", where, r.Key.Provider)
		}
		if r.HostKey == "" && !strings.HasPrefix(r.URL, "https://") {
			m.note(where + ": no host_key, so that nothing is fetched or pushed; ssh-keyscan prints it")
		}
		g.Repos = append(g.Repos, out)
	}
	if len(g.Repos) == 0 {
		return
	}
	if g.Program = m.host.Git; g.Program == "" {
		m.problem(fault.NotFound, "install git", "git-gate.repos: there is no git on this host, which the gate runs")
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
