package planner

import "strings"

// gitConfig is the bottle's ~/.gitconfig, "" where there is nothing to say. Values are quoted as
// git-config(1) reads them, so that no value can add a setting.
func gitConfig(name, email string) string {
	if name == "" && email == "" {
		return ""
	}
	out := "[user]\n"
	if name != "" {
		out += "\tname = " + gitQuote(name) + "\n"
	}
	if email != "" {
		out += "\temail = " + gitQuote(email) + "\n"
	}
	return out
}

func gitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`, "\r", "", "\x00", "").Replace(s) + `"`
}
