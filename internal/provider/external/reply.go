package external

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/plugin"
)

// maxFile bounds a Dockerfile.
const maxFile = 256 << 10

// spec checks a reply and turns it into what a plan is made of.
func (p Provider) spec(r provider.Request, reply plugin.Reply) (provider.Spec, error) {
	out := provider.Spec{
		HostSkills: ".claude/skills", Transcript: reply.Transcript, TokenHint: clip(reply.TokenHint), Steps: reply.Steps,
		Notes: []string{"the provider " + p.name + " is the plugin at " + p.dir},
	}
	for _, note := range reply.Notes {
		out.Notes = append(out.Notes, p.name+": "+clip(note))
	}
	if reply.Skills != "" {
		out.GuestSkills = []string{reply.Skills}
	}
	for _, below := range []string{reply.Skills, reply.Transcript} {
		if below != "" && !local(below) {
			return out, fmt.Errorf("%q is not below the home", below)
		}
	}
	for _, step := range reply.Steps {
		if strings.ContainsRune(strings.Join(step, ""), 0) {
			return out, errors.New("a word of steps holds a NUL")
		}
	}
	var err error
	if out.Binary, err = p.program(reply.Program); err != nil {
		return out, err
	}
	if out.Args, err = words(r, reply.Args); err != nil {
		return out, err
	}
	if err := environment(&out, reply.Env); err != nil {
		return out, err
	}
	if out.Files, err = files(reply.Files); err != nil {
		return out, err
	}
	if out.Routes, err = p.routes(r, reply.Routes); err != nil {
		return out, err
	}
	if len(out.Routes) > 0 && out.TokenHint == "" {
		out.TokenHint = "see the documentation of the plugin " + p.name
	}
	out.Dockerfile, out.Context, err = p.dockerfile()
	return out, err
}

// local reports whether a path stays below the directory that it is relative to.
func local(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.ContainsAny(name, "\x00\n\\")
}

func (p Provider) program(from plugin.Program) (provider.Binary, error) {
	b := provider.Binary{Command: from.Command, NPM: from.NPM}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`).MatchString(b.Command) {
		return b, fmt.Errorf("program.command %q is no name of a program", clip(b.Command))
	}
	if b.NPM != "" && !regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$`).MatchString(b.NPM) {
		return b, fmt.Errorf("program.npm %q is no name of a package", clip(b.NPM))
	}
	if !from.Beside {
		return b, nil
	}
	file := filepath.Join(p.dir, b.Command)
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return b, fmt.Errorf("program.command: there is no executable file %s", file)
	}
	b.Dir = p.dir
	return b, trusted(file)
}

// words replaces what stands for the task and for the user's own arguments. A headless run whose
// task goes nowhere would do nothing, or anything.
func words(r provider.Request, from []string) ([]string, error) {
	out := []string{}
	for _, word := range from {
		switch word {
		case plugin.Task:
			out = append(out, r.Task)
		case plugin.Arguments:
			out = append(out, r.Args...)
		case plugin.PromptPath:
			out = append(out, r.PromptPath)
		default:
			if strings.ContainsRune(word, 0) {
				return nil, errors.New("a word of args holds a NUL")
			}
			out = append(out, word)
		}
	}
	holds := func(text string) bool {
		return slices.ContainsFunc(out, func(word string) bool { return strings.Contains(word, text) })
	}
	if r.Headless && !holds(r.Task) {
		return nil, errors.New("args of a headless run do not hold " + plugin.Task)
	}
	for _, arg := range r.Args {
		if !slices.Contains(out, arg) {
			return nil, errors.New("args do not hold " + plugin.Arguments)
		}
	}
	return out, nil
}

// environment takes literals. A value that looks like a reference is no literal.
func environment(out *provider.Spec, env map[string]string) error {
	out.Env = map[string]string{}
	for name, value := range env {
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
			return fmt.Errorf("env: %q is no name of a variable", clip(name))
		}
		if plan.OwnsVariable(name) {
			return fmt.Errorf("env.%s is set by bot-bottle: a plugin cannot change it", clip(name))
		}
		switch {
		case value == plugin.Placeholder:
			value = provider.Placeholder
			out.Placeholders = []string{value}
		case regexp.MustCompile(`^\$\{[^}]*\}$`).MatchString(value) || strings.HasPrefix(value, "?"):
			return fmt.Errorf("env.%s asks for a value of the host: a plugin gets none; the bottle's own env can forward it", name)
		case strings.ContainsRune(value, 0):
			return fmt.Errorf("env.%s holds a NUL", name)
		}
		out.Env[name] = value
	}
	return nil
}

func files(from []plugin.File) ([]plan.File, error) {
	var out []plan.File
	for _, f := range from {
		if !local(f.Path) {
			return nil, fmt.Errorf("files: %q is not below the home", clip(f.Path))
		}
		mode := fs.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o600
		}
		if mode&^0o700 != 0 {
			return nil, fmt.Errorf("files: %s has mode %o: only the owner's bits count", clip(f.Path), f.Mode)
		}
		out = append(out, plan.File{Path: path.Join(plan.Home, f.Path), Mode: uint32(mode), Content: f.Content})
	}
	return out, placed(out)
}

// placed refuses files of which one is in the way of another, or of what is the program's own.
func placed(files []plan.File) error {
	seen := map[string]bool{}
	for _, f := range files {
		name := strings.TrimPrefix(f.Path, plan.Home+"/")
		if plan.OwnsFile(f.Path) {
			return fmt.Errorf("files: %q is bot-bottle's own: a plugin cannot change it", clip(name))
		}
		if seen[f.Path] {
			return fmt.Errorf("files: %q is there twice", clip(name))
		}
		seen[f.Path] = true
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != plan.Home && dir != "/"; dir = path.Dir(dir) {
			if seen[dir] {
				return fmt.Errorf("files: %q cannot be a file and the directory of %q", clip(strings.TrimPrefix(dir, plan.Home+"/")), clip(strings.TrimPrefix(f.Path, plan.Home+"/")))
			}
		}
	}
	return nil
}

// routes are those of the plugin's own hosts. Which secret is sent there is said by the manifest.
func (p Provider) routes(r provider.Request, from []plugin.Route) ([]policy.Route, error) {
	var out []policy.Route
	for _, f := range from {
		route := policy.Route{Host: strings.ToLower(f.Host), Ports: []uint16{443}, Owner: p.name, DLP: policy.DLP{OnMatch: "redact"}}
		if strings.Contains(route.Host, "*") {
			return nil, fmt.Errorf("routes: %s: a plugin names its hosts one by one", clip(f.Host))
		}
		if len(f.Paths) > 0 {
			m := policy.Match{}
			for _, prefix := range f.Paths {
				m.Paths = append(m.Paths, policy.PathMatch{Type: "prefix", Value: prefix})
			}
			route.Matches = []policy.Match{m}
		}
		if c := f.Credential; c != nil {
			if r.Settings.AuthToken == "" {
				return nil, fmt.Errorf("routes: %s wants a credential: set agent_provider.auth_token to the name of a host variable", route.Host)
			}
			route.Auth = &policy.Auth{Scheme: c.Scheme, Name: c.Name, Username: c.Username, TokenRef: r.Settings.AuthToken}
		}
		out = append(out, route)
	}
	if _, err := policy.Compile(policy.Set{Routes: out}); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return out, nil
}

// dockerfile is the one beside the program, with the directory it may copy from.
func (p Provider) dockerfile() (text, context string, err error) {
	file := filepath.Join(p.dir, "Dockerfile")
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", "", errors.New("its Dockerfile is no regular file of a reasonable size")
	}
	raw, err := os.ReadFile(file)
	return string(raw), p.dir, err
}
