package manifest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// KindOfFile tells a manifest's kind from the folder that it stands in.
func KindOfFile(path string) (Kind, error) {
	switch filepath.Base(filepath.Dir(path)) {
	case KindBottle.folder():
		return KindBottle, nil
	case KindAgent.folder():
		return KindAgent, nil
	}
	err := fault.New(fault.Usage, "cannot tell what %s declares", printable(path))
	return "", fault.WithHint(err, "keep bottles in a folder bottles and agents in a folder agents")
}

// CheckFile reads one file, wherever it is, as a manifest of the kind. Names that it mentions
// are looked up in the library; the file's own content takes the place of what the library has
// under its name.
func (l *Library) CheckFile(kind Kind, path string) ([]Problem, []Warning) {
	name := strings.TrimSuffix(filepath.Base(path), ".md")
	e := Entry{Name: name, Kind: kind, Source: FromHome, File: path, open: func() (fs.File, error) {
		return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}}
	if !instance.ValidName(name) || !strings.HasSuffix(path, ".md") {
		return []Problem{{File: path, Message: "has a name that cannot be used", Hint: nameHint}}, nil
	}
	trial := l.with(e)
	var problems []Problem
	var warnings []Warning
	if kind == KindBottle {
		trial.link(name)
		f := trial.bottles[name]
		problems = slices.Concat(f.report.problems, f.links, f.unheld())
		warnings = f.report.warnings
	} else {
		f := trial.agent(name)
		problems = slices.Concat(f.report.problems, trial.bottleOf(f))
		warnings = f.report.warnings
	}
	sortProblems(problems)
	return problems, warnings
}

// unheld names what the whole bottle, with what it extends, declares and could not hold. A bottle
// that extends it may still put it right.
func (f *bottleFile) unheld() []Problem {
	if len(f.report.problems)+len(f.links) > 0 || f.merged == nil {
		return nil // what is not understood is said first
	}
	if b := f.merged.bottle(); b.Egress.OnDeny != policy.OnDenyAsk || b.Supervise {
		return nil
	}
	return []Problem{{File: f.report.file, Field: "egress.on_deny", Message: "is ask, and supervise is false: there would be nobody to ask",
		Hint: "set supervise: true, or on_deny: refuse"}}
}
