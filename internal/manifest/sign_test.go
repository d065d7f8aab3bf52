package manifest_test

import "testing"

func TestSignAndTrailerAreReplacedWhole(t *testing.T) {
	const base = "git-gate: {user: {name: A, email: a@b.example}, sign: {key: ~/base}, trailer: 'Assisted-by: base'}\n"
	const other = "git-gate: {sign: {key: ~/other}}\n"
	for name, tc := range map[string]struct{ child, sign, signFrom, trailer, trailerFrom string }{
		"not declared":      {"extends: base\n", "~/base", "base", "Assisted-by: base", "base"},
		"declared":          {"extends: base\ngit-gate: {sign: {key: k}, trailer: 'With: me'}\n", "k", "child", "With: me", "child"},
		"empty":             {"extends: base\ngit-gate: {sign: {}, trailer: }\n", "", "child", "", "child"},
		"without a value":   {"extends: base\ngit-gate: {sign: }\n", "", "child", "Assisted-by: base", "base"},
		"the later of two":  {"extends: [base, other]\n", "~/other", "other", "Assisted-by: base", "base"},
		"the earlier alone": {"extends: [other, base]\n", "~/base", "base", "Assisted-by: base", "base"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := home(t, map[string]string{"base": base, "other": other, "child": tc.child}).Bottle("child")
			if err != nil {
				t.Fatal(err)
			}
			if b.Git.Sign != tc.sign || b.From["git-gate.sign"] != tc.signFrom || b.Git.Trailer != tc.trailer || b.From["git-gate.trailer"] != tc.trailerFrom {
				t.Errorf("%+v from %v", b.Git, b.From)
			}
		})
	}
}
