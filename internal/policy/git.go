package policy

import "strings"

// gateMissing is what a push over HTTPS lacks.
const gateMissing = "git-gate.repos"

type gitUse uint8

const (
	gitNoUse gitUse = iota
	gitFetch
	gitPush
)

// gitService recognises git's HTTP protocols (gitprotocol-http(5)), however the request is
// spelled: the smart services, the discovery of either, the dumb protocol and LFS.
func gitService(q Request) gitUse {
	path := strings.ToLower(fullyUnescaped(q.target.Path))
	query := strings.ToLower(fullyUnescaped(q.target.Query))
	if strings.Contains(path, "git-receive-pack") || contentType(q, "git-receive-pack") {
		return gitPush
	}
	discovery := strings.Contains(path, "/info/refs")
	if discovery && strings.Contains(query, "receive-pack") {
		return gitPush
	}
	if lfs := strings.Contains(path, "/info/lfs") || strings.Contains(path, "/gitlab-lfs/"); lfs {
		if q.method != "GET" && q.method != "HEAD" && !strings.HasSuffix(path, "/objects/batch") {
			return gitPush
		}
		return gitFetch
	}
	if discovery || strings.Contains(path, "git-upload-pack") || contentType(q, "git-upload-pack") || dumbGit(path) {
		return gitFetch
	}
	return gitNoUse
}

func contentType(q Request, want string) bool {
	for _, v := range q.header("Content-Type") {
		if strings.Contains(strings.ToLower(v), want) {
			return true
		}
	}
	return false
}

// dumbGit recognises what the dumb protocol reads below a repository that ends in .git.
func dumbGit(path string) bool {
	_, rest, ok := strings.Cut(path, ".git/")
	return ok && (rest == "head" || strings.HasPrefix(rest, "objects/"))
}

func denyPush(route *Route) Decision {
	return Decision{
		Route:       route,
		Layer:       LayerGit,
		Reason:      "git push over HTTPS is refused on every host",
		RuleMissing: gateMissing,
		Guidance:    "Pushes leave only through the git gate, which scans them first. Push to the remote's own URL as `git remote -v` shows it; a repository that the bottle declares under git-gate.repos is rewritten to the gate.",
		NextSteps: []string{
			"push to a remote that is declared in git-gate.repos, over its declared URL",
			"if the repository is not declared, ask the operator to add it to git-gate.repos",
		},
	}
}

func denyFetch(route *Route) Decision {
	return Decision{
		Route:       route,
		Layer:       LayerGit,
		Reason:      "git fetch over HTTPS is refused on this host",
		RuleMissing: "git: fetch on the route of " + route.Host,
		Guidance:    "This route is for an API, not for git. Clone and fetch declared repositories through the git gate, over their declared URL.",
		NextSteps: []string{
			"fetch from a remote that is declared in git-gate.repos, over its declared URL",
			"or ask the operator to set `git: fetch` on the route of " + route.Host,
		},
	}
}
