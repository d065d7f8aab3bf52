package planner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// imageBackend is the one backend whose bottles are made of images.
const imageBackend = "docker"

// Variables that choose what a bottle is made of.
const (
	imageVariable   = "BOT_BOTTLE_IMAGE"
	baseVariable    = "BOT_BOTTLE_BASE_IMAGE"
	versionVariable = "BOT_BOTTLE_AGENT_VERSION"
	gitVariable     = "BOT_BOTTLE_GIT_IMAGE"
	gateVariable    = "BOT_BOTTLE_GIT_GATE"
	derivedVariable = "BOT_BOTTLE_DERIVED_IMAGE" // of the reference system, which has the workspace in it
)

// image decides what the bottle is made of: BOT_BOTTLE_IMAGE, the run's own Dockerfile, the
// manifest's, the provider's. Where there is one, the program is the image's; else it is the
// host's, which reports false.
func (m *maker) image() (bool, error) {
	p := m.out.Plan
	if m.req.Backend.Name != imageBackend {
		return false, nil
	}
	if name, ok := m.host.Getenv(derivedVariable); ok && name != "" {
		m.note(derivedVariable + " is not used: the current directory comes in as a copy, and no image holds it")
	}
	if ref, ok := m.host.Getenv(imageVariable); ok && ref != "" {
		p.Image = plan.Image{Ref: ref}
		m.note("the bottle is made of the image " + ref + ", which " + imageVariable + " names")
		return true, nil
	}
	// Beside the run's own lie its home and its log: it copies from nowhere.
	state := m.req.Paths.State
	if m.req.Origin != "" {
		state = m.req.Origin
	}
	file, context := filepath.Join(state, "Dockerfile"), ""
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		file = m.manifestDockerfile()
		context = m.buildContext(file)
	}
	text := m.spec.Dockerfile
	from := "the provider's Dockerfile"
	p.Image.Context = m.spec.Context
	if file != "" {
		raw, err := readDockerfile(file)
		if err != nil {
			return false, fault.WithHint(fault.New(fault.NotFound, "cannot read the Dockerfile: %w", err),
				"agent_provider.dockerfile is relative to the current directory")
		}
		text, from, p.Image.Context = string(raw), file, context
		if context != "" {
			p.Image.Name = filepath.Base(file)
		}
	}
	if text == "" {
		p.Image.Context = ""
		return false, nil
	}
	p.Image.Dockerfile = text
	p.Image.Args = m.buildArgs()
	p.Builds = append(p.Builds, "an image from "+from)
	return true, nil
}

// readDockerfile reads a regular file: a pipe would keep the caller waiting for ever, deaf to an interrupt.
func readDockerfile(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", file))
	}
	return io.ReadAll(f)
}

// buildContext is the directory that a Dockerfile may copy from: its own, unless that holds the
// user's home or ours, and with it every key.
func (m *maker) buildContext(file string) string {
	if file == "" {
		return ""
	}
	dir := filepath.Dir(file)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, private := range []string{m.host.UserHome, m.host.Home} {
		if real, err := filepath.EvalSymlinks(private); err == nil {
			private = real
		}
		if within(dir, private) {
			m.note("the Dockerfile may copy nothing: its directory holds " + private)
			return ""
		}
	}
	return dir
}

func (m *maker) manifestDockerfile() string {
	file := m.bottle.Provider.Dockerfile
	if file == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(m.host.UserHome, rest)
	}
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(m.host.Cwd, file)
}

func (m *maker) buildArgs() map[string]string {
	args := map[string]string{}
	for arg, variable := range map[string]string{"BASE": baseVariable, "VERSION": versionVariable} {
		if v, ok := m.host.Getenv(variable); ok && v != "" {
			args[arg] = v
		}
	}
	return args
}
