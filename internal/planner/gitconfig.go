package planner

import (
	"net"
	"net/url"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// gitConfig is the bottle's ~/.gitconfig, "" where there is nothing to say. Values are quoted as
// git-config(1) reads them, so that no value can add a setting.
func gitConfig(g plan.Git) string {
	out := ""
	if g.Name != "" || g.Email != "" {
		out = "[user]\n"
		if g.Name != "" {
			out += "\tname = " + gitQuote(g.Name) + "\n"
		}
		if g.Email != "" {
			out += "\temail = " + gitQuote(g.Email) + "\n"
		}
	}
	for _, r := range g.Repos {
		out += "[url " + gitQuote("http://"+plan.GateHost+"/"+r.Name+"/") + "]\n"
		for _, form := range forms(r.URL) {
			out += "\tinsteadOf = " + gitQuote(form) + "\n"
		}
	}
	return out
}

// forms are the ways in which a remote's URL may be written, each without ".git": what stands
// behind one is carried over to the gate, which knows "" and ".git" and refuses all else.
func forms(written string) []string {
	user, host, port, path, secure := takeApart(written)
	path = strings.TrimSuffix(strings.TrimSuffix(strings.Trim(path, "/"), ".git"), "/")
	names := []string{host}
	switch {
	case port != "":
		names = []string{net.JoinHostPort(host, port)}
		if !secure && port == "22" || secure && port == "443" {
			names = append(names, host)
		}
	case secure:
		names = append(names, net.JoinHostPort(host, "443"))
	default:
		names = append(names, net.JoinHostPort(host, "22"))
	}
	users := []string{user + "@", ""}
	if user == "" {
		users = []string{"git@", ""}
	}
	var all []string
	for _, name := range names {
		for _, u := range users {
			for _, scheme := range []string{"ssh://", "git+ssh://", "ssh+git://"} {
				all = append(all, scheme+u+name+"/"+path)
			}
		}
		all = append(all, "https://"+name+"/"+path, "http://"+name+"/"+path, "git://"+name+"/"+path)
	}
	for _, u := range users {
		all = append(all, u+host+":"+path, u+host+":/"+path)
	}
	return all
}

// takeApart reads a remote that the manifest has checked.
func takeApart(written string) (user, host, port, path string, secure bool) {
	if !strings.Contains(written, "://") {
		front, path, _ := strings.Cut(written, ":")
		if before, after, found := strings.Cut(front, "@"); found {
			return before, after, "", path, false
		}
		return "", front, "", path, false
	}
	u, err := url.Parse(written)
	if err != nil {
		return "", written, "", "", false
	}
	return u.User.Username(), u.Hostname(), u.Port(), u.Path, u.Scheme == "https"
}

func gitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`, "\r", "", "\x00", "").Replace(s) + `"`
}
