package planner

import (
	"net"
	"net/url"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Where git's files are in a bottle. The agent's own settings are in ~/.gitconfig, which includes
// ours, so that a resume can write ours anew.
const (
	configPath   = plan.Home + "/.bot-bottle/gitconfig"
	signersPath  = plan.Home + "/.bot-bottle/allowed_signers"
	templatePath = plan.Home + "/.bot-bottle/git-template"
)

// trailerHook adds the trailer to a message before its author sees it, and leaves one that has it.
const trailerHook = `#!/bin/sh
exec git interpret-trailers --in-place --if-exists addIfDifferent --trailer "$(git config bot-bottle.trailer)" "$1"
`

// gitFiles are what git in the bottle reads.
func gitFiles(g plan.Git) []plan.File {
	var files []plan.File
	if config := gitConfig(g); config != "" {
		files = append(files,
			plan.File{Path: plan.Home + "/.gitconfig", Mode: 0o600, Content: "[include]\n\tpath = " + gitQuote(configPath) + "\n"},
			plan.File{Path: configPath, Mode: 0o600, Content: config, Again: true})
	}
	if g.Sign != nil {
		files = append(files, plan.File{Path: signersPath, Mode: 0o600, Content: g.Email + ` namespaces="git" ` + g.Sign.Public + "\n", Again: true})
	}
	if g.Trailer != "" {
		files = append(files, plan.File{Path: templatePath + "/hooks/prepare-commit-msg", Mode: 0o755, Content: trailerHook, Again: true})
	}
	return files
}

// gitConfig is what a bottle's git is told, "" where there is nothing to say. Values are quoted as
// git-config(1) reads them, so that no value can add a setting.
func gitConfig(g plan.Git) string {
	out := ""
	section := func(name string, settings ...string) {
		out += "[" + name + "]\n"
		for i := 0; i < len(settings); i += 2 {
			out += "\t" + settings[i] + " = " + gitQuote(settings[i+1]) + "\n"
		}
	}
	var user []string
	if g.Name != "" {
		user = append(user, "name", g.Name)
	}
	if g.Email != "" {
		user = append(user, "email", g.Email)
	}
	if g.Sign != nil {
		user = append(user, "signingKey", "key::"+g.Sign.Public)
	}
	if len(user) > 0 {
		section("user", user...)
	}
	if g.Sign != nil {
		section("gpg", "format", "ssh")
		section(`gpg "ssh"`, "program", wire.Program, "allowedSignersFile", signersPath)
		section("commit", "gpgSign", "true")
		section("tag", "gpgSign", "true")
	}
	if g.Trailer != "" {
		section("bot-bottle", "trailer", g.Trailer)
		section("init", "templateDir", templatePath)
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
	bare := host
	if strings.Contains(host, ":") {
		bare = "[" + host + "]"
	}
	names := []string{bare}
	switch {
	case port != "":
		names = []string{net.JoinHostPort(host, port)}
		if !secure && port == "22" || secure && port == "443" {
			names = append(names, bare)
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
		all = append(all, u+bare+":"+path, u+bare+":/"+path)
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
