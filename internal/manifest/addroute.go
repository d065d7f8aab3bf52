package manifest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Edit is a change of one bottle's file that is not made yet.
type Edit struct {
	Bottle string // whose file it is
	File   string
	Before string // "" where the file is new
	After  string
	// Added are the lines of After that Before does not have.
	Added []string
	// Others are the bottles that the change is for, too, because they extend this one.
	Others []string
}

// AddRoute makes the change that lets the named bottles' effective policy have one more route,
// and nothing else of it other: every line that is there stays, comments included. It goes into
// the file that declares the egress; a built-in bottle is written out as a file of its name. Where
// that cannot be done by adding, it is fault.Unsupported with the route in the hint.
func (l *Library) AddRoute(bottles []string, route policy.Route) (*Edit, error) {
	if len(bottles) == 0 {
		return nil, fault.New(fault.Usage, "cannot add a route: no bottle is named")
	}
	byHand := func(why string) error {
		leaf := bottles[len(bottles)-1]
		return fault.WithHint(fault.New(fault.Unsupported, "cannot add the route of %s to the bottle %q: %s", route.Host, leaf, why),
			"bot-bottle edit %s, and add under egress.routes: %s", leaf, route.Flow())
	}
	before, err := l.Bottle(bottles...)
	if err != nil {
		return nil, err
	}
	e, err := l.declarer(bottles[len(bottles)-1])
	if err != nil {
		return nil, err
	}
	content, err := e.read()
	if err != nil {
		return nil, fault.New(fault.Internal, "cannot read %s: %s", e.File, cause(err))
	}
	edit := &Edit{Bottle: e.Name, File: e.File, Before: string(content)}
	if e.Source == FromBuiltin {
		if e.Name != bottles[len(bottles)-1] {
			return nil, byHand("its routes come from the built-in bottle " + e.Name)
		}
		edit.File, edit.Before = filepath.Join(l.opts.Home, KindBottle.folder(), e.Name+".md"), ""
	}
	added := insertion(string(content), route)
	if added == nil {
		return nil, byHand("its file is not written in a way that can be added to")
	}
	edit.After, edit.Added = added.text, added.lines
	if edit.Before == "" {
		edit.Added = strings.Split(strings.TrimSuffix(edit.After, "\n"), "\n")
	}
	if err := l.means(edit, before, bottles, route); err != nil {
		return nil, byHand(err.Error())
	}
	edit.Others = l.heirs(e.Name, bottles)
	return edit, nil
}

// declarer is the file that declares the egress of a bottle, or the bottle's own where none does.
func (l *Library) declarer(name string) (Entry, error) {
	var find func(name string, depth int) string
	find = func(name string, depth int) string {
		f := l.bottle(name)
		if f.layer.egress != nil || depth > maxDepth {
			return name
		}
		for _, parent := range slices.Backward(f.layer.extends) {
			if _, err := l.Entry(KindBottle, parent.text); err == nil {
				if found := find(parent.text, depth+1); found != "" {
					return found
				}
			}
		}
		return ""
	}
	if found := find(name, 0); found != "" {
		name = found
	}
	return l.Entry(KindBottle, name)
}

// means checks that the edited file makes the bottles allow what they did and the route, and
// changes nothing else of them.
func (l *Library) means(edit *Edit, before *Bottle, bottles []string, route policy.Route) error {
	trial := l.with(Entry{Name: edit.Bottle, Kind: KindBottle, Source: FromHome, File: edit.File, open: func() (fs.File, error) {
		return &virtual{Reader: bytes.NewReader([]byte(edit.After)), size: int64(len(edit.After))}, nil
	}})
	after, err := trial.Bottle(bottles...)
	if err != nil {
		return errors.New("the file would not be valid any more")
	}
	want, err := withRoute(before.Egress.Routes, route)
	if err != nil {
		return err
	}
	if !sameRoutes(want, after.Egress.Routes) {
		return errors.New("the file would not say what was approved")
	}
	x, y := *before, *after
	x.Egress.Routes, y.Egress.Routes, x.From, y.From = nil, nil, nil, nil
	if x.Egress.Log == "" {
		x.Egress.Log = y.Egress.Log
	}
	if !reflect.DeepEqual(x, y) {
		return errors.New("the file would change more than that")
	}
	return nil
}

// withRoute adds a route, or its matches to the entry that the host has, where the two differ in
// nothing else.
func withRoute(routes []Route, route policy.Route) ([]Route, error) {
	out := slices.Clone(routes)
	i := slices.IndexFunc(out, func(r Route) bool { return r.Name() == route.Name() })
	if i < 0 {
		return append(out, Route{Route: route}), nil
	}
	have, one := out[i].Route, route
	have.Matches, one.Matches = nil, nil
	if have.YAML() != one.YAML() || len(out[i].Matches) == 0 || len(route.Matches) == 0 {
		return nil, errors.New("its entry for this host differs in more than its matches")
	}
	out[i].Matches = append(slices.Clone(out[i].Matches), route.Matches...)
	return out, nil
}

func sameRoutes(want, got []Route) bool {
	if len(want) != len(got) {
		return false
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(r Route) bool { return r.Name() == w.Name() })
		if i < 0 || !sameRoute(w, got[i]) {
			return false
		}
	}
	return true
}

// sameRoute compares two routes; the order of alternatives does not count.
func sameRoute(a, b Route) bool {
	for _, m := range a.Matches {
		if !slices.ContainsFunc(b.Matches, func(n policy.Match) bool { return reflect.DeepEqual(m, n) }) {
			return false
		}
	}
	same := len(a.Matches) == len(b.Matches) && a.UpstreamCAFile == b.UpstreamCAFile
	x, y := a.Route, b.Route
	x.Matches, y.Matches = nil, nil
	return same && x.YAML() == y.YAML()
}

// heirs are the operator's other bottles that get their egress from this one.
func (l *Library) heirs(name string, but []string) []string {
	var all []string
	for _, other := range l.Names(KindBottle) {
		if other == name || slices.Contains(but, other) {
			continue
		}
		if e, err := l.declarer(other); err == nil && e.Name == name && len(l.bottle(other).layer.extends) > 0 {
			all = append(all, other)
		}
	}
	return all
}

// virtual is a file in memory.
type virtual struct {
	io.Reader
	size int64
}

func (v *virtual) Stat() (fs.FileInfo, error) { return v, nil }
func (v *virtual) Close() error               { return nil }
func (v *virtual) Name() string               { return "edited" }
func (v *virtual) Size() int64                { return v.size }
func (v *virtual) Mode() fs.FileMode          { return 0o600 }
func (v *virtual) ModTime() time.Time         { return time.Time{} }
func (v *virtual) IsDir() bool                { return false }
func (v *virtual) Sys() any                   { return nil }
