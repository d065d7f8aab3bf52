package manifest

import (
	"maps"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Options say where manifests are.
type Options struct {
	// Home is the operator's folder with bottles/ and agents/; "" or a missing one holds none.
	Home string
	// Cwd is the caller's directory, whose .bot-bottle/agents is read too; "" reads none.
	Cwd string
	// Templates are the providers that exist; nil leaves agent_provider.template unchecked.
	Templates []string
	// Rules names the rules of the scanner, when a manifest first names one; nil leaves dlp.allow unchecked.
	Rules func() []string
}

// Library is all manifests that exist. Names are known from the start; a file is read when it is
// first asked for, and once. A Library is not safe for concurrent use.
//
// Of two agents with one name, the operator's wins over the built-in one, and both over the
// repository's: a clone must not change what a familiar name starts.
type Library struct {
	opts    Options
	found   *scan
	bottles map[string]*bottleFile
	agents  map[string]*agentFile
}

type bottleFile struct {
	report report
	layer  *layer
	links  []Problem // what is wrong with extends
	merged *layer    // nil until linked
}

type agentFile struct {
	report report
	agent  *Agent
}

// Open lists the folders. A folder that does not exist is empty; one that cannot be listed is an
// error. No file is read.
func Open(opts Options) (*Library, error) {
	found, err := look(opts)
	if err != nil {
		return nil, err
	}
	return &Library{opts: opts, found: found, bottles: map[string]*bottleFile{}, agents: map[string]*agentFile{}}, nil
}

// Entries lists all manifests of a kind, sorted by name.
func (l *Library) Entries(kind Kind) []Entry {
	entries := l.found.of(kind)
	out := make([]Entry, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		out = append(out, entries[name])
	}
	return out
}

// Names lists the names of a kind, sorted.
func (l *Library) Names(kind Kind) []string {
	return slices.Sorted(maps.Keys(l.found.of(kind)))
}

// Entry finds a manifest by name: fault.NotFound, with what is near, where there is none.
func (l *Library) Entry(kind Kind, name string) (Entry, error) {
	if e, ok := l.found.of(kind)[name]; ok {
		return e, nil
	}
	err := fault.New(fault.NotFound, "cannot find the %s %s", kind, shown(name))
	return Entry{}, fault.WithHint(err, "%s", nearOrListed(name, kind.folder(), l.Names(kind)))
}

// Agent reads one agent. What is wrong with its file is Problems in an error of kind
// fault.Invalid; its bottle is not looked at.
func (l *Library) Agent(name string) (*Agent, error) {
	if _, err := l.Entry(KindAgent, name); err != nil {
		return nil, err
	}
	f := l.agent(name)
	if err := invalid(KindAgent, name, f.report.problems); err != nil {
		return nil, err
	}
	return f.agent, nil
}

// Bottle returns the effective policy of one bottle, or of several, folded in order like a list
// of parents. What is wrong with any file of the chain is Problems in an error of kind
// fault.Invalid.
func (l *Library) Bottle(names ...string) (*Bottle, error) {
	var folded *layer
	var problems []Problem
	seen := map[string]bool{}
	for _, name := range names {
		if _, err := l.Entry(KindBottle, name); err != nil {
			return nil, err
		}
		problems = append(problems, l.chainProblems(name, seen)...)
		next := l.link(name)
		if folded == nil {
			folded = next
			continue
		}
		label := folded.name + "+" + name
		folded = beside(folded, next)
		folded.name = label
	}
	if folded == nil {
		return nil, fault.New(fault.Usage, "cannot fold bottles: none is named")
	}
	for _, c := range folded.clashes {
		problems = append(problems, c.problem())
	}
	sortProblems(problems)
	if err := invalid(KindBottle, folded.name, problems); err != nil {
		return nil, err
	}
	return folded.bottle(), nil
}

func invalid(kind Kind, name string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "cannot use the %s %q: %w", kind, name, Problems(problems))
}

// Warnings lists what is odd but usable, of the folders and of every file read so far, in order.
func (l *Library) Warnings() []Warning {
	all := slices.Clone(l.found.warnings)
	for _, name := range slices.Sorted(maps.Keys(l.bottles)) {
		all = append(all, l.bottles[name].report.warnings...)
	}
	for _, name := range slices.Sorted(maps.Keys(l.agents)) {
		all = append(all, l.agents[name].report.warnings...)
	}
	return all
}

// ValidateAll reads every file and returns everything that is wrong and everything that is odd,
// sorted by place.
func (l *Library) ValidateAll() ([]Problem, []Warning) {
	problems := slices.Clone(l.found.problems)
	for _, name := range l.Names(KindBottle) {
		l.link(name)
		f := l.bottles[name]
		problems = append(problems, f.report.problems...)
		problems = append(problems, f.links...)
		problems = append(problems, f.unheld()...)
	}
	for _, name := range l.Names(KindAgent) {
		f := l.agent(name)
		problems = append(problems, f.report.problems...)
		problems = append(problems, l.bottleOf(f)...)
	}
	sortProblems(problems)
	return problems, l.Warnings()
}

// with returns a library, nothing of it read, that has the entry besides what l has.
func (l *Library) with(e Entry) *Library {
	found := *l.found
	found.bottles, found.agents = maps.Clone(found.bottles), maps.Clone(found.agents)
	found.of(e.Kind)[e.Name] = e
	return &Library{opts: l.opts, found: &found, bottles: map[string]*bottleFile{}, agents: map[string]*agentFile{}}
}

// agent reads an agent that exists.
func (l *Library) agent(name string) *agentFile {
	if f := l.agents[name]; f != nil {
		return f
	}
	e := l.found.agents[name]
	f := &agentFile{report: report{file: e.File}}
	l.agents[name] = f
	f.agent = &Agent{Name: name, Skills: []string{}}
	if content, ok := load(&f.report, e); ok {
		f.agent = decodeAgent(&f.report, name, content)
	}
	f.agent.Source = e.Source
	if e.Source != FromBuiltin {
		f.agent.File = e.File
	}
	return f
}

// bottle reads a bottle that exists.
func (l *Library) bottle(name string) *bottleFile {
	if f := l.bottles[name]; f != nil {
		return f
	}
	e := l.found.bottles[name]
	f := &bottleFile{report: report{file: e.File, rules: l.opts.Rules}}
	l.bottles[name] = f
	f.layer = newLayer(name)
	if content, ok := load(&f.report, e); ok {
		f.layer = decodeBottle(&f.report, name, content, l.opts.Templates)
	}
	return f
}
