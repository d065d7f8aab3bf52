package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Refused is one request that no route allowed, as the log tells it. Nothing in it is trusted.
type Refused struct {
	Host   string
	Port   uint16
	Method string // "CONNECT": only the connection was seen
	Path   string // without query; any spelling
	Fetch  bool   // it was git that wanted to read
}

// Suggestion is the narrowest route that would have allowed some requests.
type Suggestion struct {
	Route Route
	Seen  int      // requests it would have allowed
	Notes []string // what a person should know, in ASCII
}

// Unsuggested is what no suggestion is made of.
type Unsuggested struct {
	Host string // as it is safe to show
	Why  string
	Seen int
}

// connection is the method of a refusal whose request was not seen.
const connection = "CONNECT"

// several is how many paths of one directory make it worth a prefix.
const several = 4

// Limits of a suggestion: past them an agent only makes the operator read.
const (
	maxSuggested = 100 // hosts
	maxPaths     = 64  // of a host
)

// Suggest makes the narrowest routes that would have allowed what was refused, one a host, sorted.
// Paths are exact; unless exact is asked for, several of one directory with the same method become
// a prefix. What must never be opened by suggestion is left out: addresses that are not public, and
// what has no one meaning.
func Suggest(refused []Refused, exact bool) ([]Suggestion, []Unsuggested) {
	hosts, left := map[string]*wanted{}, map[Unsuggested]int{}
	for _, r := range refused {
		if why := unsuggestable(&r); why != "" {
			left[Unsuggested{Host: strconv.QuoteToASCII(clip(r.Host)), Why: why}]++
			continue
		}
		w := hosts[r.Host]
		if w == nil && len(hosts) == maxSuggested {
			left[Unsuggested{Host: "others", Why: "there are more hosts than a suggestion holds"}]++
			continue
		}
		if w == nil {
			w = &wanted{paths: map[string]map[string]bool{}, ports: map[uint16]bool{}}
			hosts[r.Host] = w
		}
		if !w.add(r) {
			left[Unsuggested{Host: r.Host, Why: "there are more paths than a suggestion holds"}]++
		}
	}
	out := make([]Suggestion, 0, len(hosts))
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		out = append(out, hosts[host].suggestion(host, exact))
	}
	rest := make([]Unsuggested, 0, len(left))
	for u, n := range left {
		u.Seen = n
		rest = append(rest, u)
	}
	slices.SortFunc(rest, func(a, b Unsuggested) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Why, b.Why))
	})
	return out, rest
}

// unsuggestable says why a refusal makes no route, or brings it to its canonical form.
func unsuggestable(r *Refused) string {
	host, err := CanonicalHost(r.Host)
	switch {
	case err != nil || host != r.Host:
		return "the host has no canonical spelling"
	case r.Port == 0:
		return "the port is not known"
	case host == InternalHost:
		return "it is the sidecar itself"
	}
	if addr, err := netip.ParseAddr(host); err == nil && AddressAllowed(addr, nil, nil) != nil {
		return "an address that is not public is never opened by suggestion"
	}
	if r.Method == connection {
		return ""
	}
	if !slices.Contains(suggestedMethods(), r.Method) {
		return "the method is none that a route can name"
	}
	if strings.Contains(r.Path, "***") || strings.Contains(r.Path, "…") {
		return "the path is not in the log as it was"
	}
	target, err := CanonicalTarget(r.Path)
	switch {
	case err != nil || target.HasQuery:
		return "the path has no canonical spelling"
	case target.ambiguous != "":
		return "the path has " + target.ambiguous + ", which no route can name"
	}
	r.Path = target.Path
	switch gitService(Request{host: host, port: r.Port, method: r.Method, target: target, header: func(string) []string { return nil }}) {
	case gitPush:
		return "a push leaves through the git gate only"
	case gitFetch:
		r.Fetch = true
	case gitNoUse:
	}
	return ""
}

// suggestedMethods are those that a manifest can name.
func suggestedMethods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"}
}

// wanted is what was asked of one host.
type wanted struct {
	paths map[string]map[string]bool // path to methods
	ports map[uint16]bool
	whole bool // a connection was refused before it said what it wants
	fetch bool
	seen  int
}

func (w *wanted) add(r Refused) bool {
	if r.Method == connection {
		w.whole = true
	} else {
		if w.paths[r.Path] == nil && len(w.paths) == maxPaths {
			return false
		}
		w.path(r.Path, r.Method)
		if r.Fetch {
			w.fetch = true
			w.repository(r.Path)
		}
	}
	w.ports[r.Port] = true
	w.seen++
	return true
}

func (w *wanted) path(path, method string) {
	if w.paths[path] == nil {
		w.paths[path] = map[string]bool{}
	}
	w.paths[path][method] = true
}

// repository adds what follows a discovery that is let through.
func (w *wanted) repository(path string) {
	if base, ok := strings.CutSuffix(path, "/info/refs"); ok {
		w.path(base+"/git-upload-pack", "POST")
	}
}

func (w *wanted) suggestion(host string, exact bool) Suggestion {
	s := Suggestion{Route: Route{Host: host, Ports: slices.Sorted(maps.Keys(w.ports))}, Seen: w.seen}
	if w.fetch {
		s.Route.Git = GitFetch
	}
	if len(w.paths) > 0 {
		s.Route.Matches = w.matches(exact)
	} else {
		s.Notes = append(s.Notes, "only the connection was seen, so every path and method is open; start --observe shows more")
	}
	if w.whole && len(w.paths) > 0 {
		s.Notes = append(s.Notes, "some connections were refused before they said what they want")
	}
	if len(w.ports) > 1 {
		s.Notes = append(s.Notes, "each path is open on each of the ports")
	}
	if strings.Contains(host, "xn--") {
		s.Notes = append(s.Notes, "the name is not ASCII: look closely")
	}
	return s
}

// matches are the paths of each method; methods with the same ones share an entry.
func (w *wanted) matches(exact bool) []Match {
	byMethod := map[string][]string{}
	for path, methods := range w.paths {
		for method := range methods {
			byMethod[method] = append(byMethod[method], path)
		}
	}
	var matches []Match
	for _, method := range slices.Sorted(maps.Keys(byMethod)) {
		slices.Sort(byMethod[method])
		paths := exactly(byMethod[method])
		if !exact {
			paths = generalised(byMethod[method])
		}
		same := slices.IndexFunc(matches, func(m Match) bool { return slices.Equal(m.Paths, paths) })
		if same >= 0 {
			matches[same].Methods = append(matches[same].Methods, method)
		} else {
			matches = append(matches, Match{Methods: []string{method}, Paths: paths})
		}
	}
	return matches
}

func exactly(paths []string) []PathMatch {
	out := make([]PathMatch, len(paths))
	for i, p := range paths {
		out[i] = PathMatch{Type: "exact", Value: p}
	}
	return out
}

// generalised turns the paths of a directory into a prefix where there are several of them. The
// top is no directory: a prefix of it would be everything.
func generalised(paths []string) []PathMatch {
	members := map[string]int{}
	for _, p := range paths {
		members[directory(p)]++
	}
	var prefixes []string
	for dir, n := range members {
		if n >= several && dir != "/" {
			prefixes = append(prefixes, dir)
		}
	}
	slices.Sort(prefixes)
	covered := func(p string) bool {
		return slices.ContainsFunc(prefixes, func(dir string) bool { return strings.HasPrefix(p, dir) })
	}
	var out []PathMatch
	for i, dir := range prefixes {
		if i == 0 || !slices.ContainsFunc(prefixes[:i], func(wider string) bool { return strings.HasPrefix(dir, wider) }) {
			out = append(out, PathMatch{Type: "prefix", Value: dir})
		}
	}
	return append(out, exactly(slices.DeleteFunc(slices.Clone(paths), covered))...)
}

func directory(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
