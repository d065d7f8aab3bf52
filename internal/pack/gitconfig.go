package pack

import (
	"path"
	"regexp"
	"strings"
)

// WithoutGitCredentials takes out of a repository's own configuration what would hand a
// credential to the agent: user and password in HTTP URLs, and extra headers.
func WithoutGitCredentials(name string) func([]byte) []byte {
	dir, base := path.Split(name)
	if base != "config" && base != "config.worktree" || !strings.Contains("/"+dir, "/.git/") {
		return nil
	}
	userinfo := regexp.MustCompile(`(?i)\b(https?://)[^/\s"@]*@`)
	header := regexp.MustCompile(`(?im)^\s*extraheader\s*=.*\n?`)
	return func(raw []byte) []byte {
		return header.ReplaceAll(userinfo.ReplaceAll(raw, []byte("$1")), nil)
	}
}
