package rules

import "testing"

// TestTail holds what a match has behind its keyword, with one keyword and with alternatives, to the shortest
// of them; where an alternative has none, neither has the rule.
func TestTail(t *testing.T) {
	for id, least := range map[string]int{"vault-batch-token": 138, "vault-service-token": 24, "atlassian-api-token": 0} {
		for _, r := range All() {
			if r.ID != id {
				continue
			}
			tail := r.Tail()
			switch {
			case least == 0 && tail != nil, least > 0 && (tail == nil || tail.Least != least):
				t.Errorf("%s: %+v, want %d", id, tail, least)
			case least > 0 && (!tail.Class['a'] || !tail.Class['Z'] || !tail.Class['9'] || tail.Class['/']):
				t.Errorf("%s: not its class", id)
			}
		}
	}
}
