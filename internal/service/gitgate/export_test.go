//go:build linux

package gitgate

import (
	"context"
	"net/http/httptest"
)

// Survey looks at what the tips bring to a repository, as a push of them does, and says what was
// found in each new object. Objects is a directory of objects, as a push has one.
func (s *Server) Survey(ctx context.Context, name, objects string, tips ...string) (found map[string][]string, err error) {
	p := &push{s: s, repo: s.repos[name], objects: objects, answer: &answer{w: httptest.NewRecorder()}}
	for _, tip := range tips {
		p.request.updates = append(p.request.updates, update{zero, tip, "refs/tags/x"})
	}
	if err := p.connected(ctx); err != nil {
		return nil, err
	}
	v := newSurvey(p)
	v.most = len(p.news) * 1000
	if err := v.all(ctx, p.news); err != nil {
		return nil, err
	}
	found = map[string][]string{}
	for _, o := range p.news {
		found[o.oid] = nil
	}
	for _, h := range v.hits {
		found[h.oid] = append(found[h.oid], h.Rule)
	}
	return found, nil
}
