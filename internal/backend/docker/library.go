package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/instance"
)

// What is noted of images, below the cache: a directory for each name with a file for each run that
// was made of it, and a file for each build.
const (
	notesDir = "docker-images"
	builtDir = "built"
	makeLock = "docker-images.lock"
)

// suffix ends the name of each image of this home. Two homes never share a name, only what is behind it,
// so that neither can take away what is the other's.
func (d *Driver) suffix() string { return "-" + rootTag(d.Root) }

func (d *Driver) reference(repo, content string) string { return repo + ":" + content + d.suffix() }

// haveImage finds an image by what it is made of, also where another home made it.
func (d *Driver) haveImage(ctx context.Context, e *engine.Client, repo, content string) (bool, error) {
	there, err := e.HasImage(ctx, d.reference(repo, content))
	if err != nil || there {
		return there, err
	}
	all, err := e.Images(ctx, labelRole)
	if err != nil {
		return false, err
	}
	for _, i := range all {
		for _, t := range i.RepoTags {
			if strings.HasPrefix(plainName(t), repo+":"+content+"-") {
				return true, e.Tag(ctx, i.ID, repo, content+d.suffix())
			}
		}
	}
	return false, nil
}

// plainName is an image's name as it was given: Podman puts a registry before one that names none.
func plainName(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "localhost/"), "docker.io/library/")
}

// making keeps cleanup from taking away what a start is about to use. It ends with the process.
func (d *Driver) making() (release func(), err error) {
	if d.Cache == "" {
		return func() {}, nil
	}
	f, err := d.lockFile()
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock the images: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// alone is held while images go; nil where something is being made, or nothing is remembered.
func (d *Driver) alone() (release func(), err error) {
	if d.Cache == "" {
		return nil, nil
	}
	f, err := d.lockFile()
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("cannot lock the images: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func (d *Driver) lockFile() (*os.File, error) {
	if err := os.MkdirAll(d.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock the images: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.Cache, makeLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the images: %w", err)
	}
	return f, nil
}

func (d *Driver) note(ref string) string {
	_, tag, _ := strings.Cut(ref, ":")
	return filepath.Join(d.Cache, notesDir, tag)
}

// noteUse remembers that a run is made of an image, for as long as there is state of that run.
func (d *Driver) noteUse(ref string, id instance.ID) error {
	if d.Cache == "" {
		return nil
	}
	dir := d.note(ref)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, string(id)), nil, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot note what %q is made of: %w", id, err)
	}
	d.forgetRuns(ref)
	return nil
}

// noteBuilt remembers an image by its content: it loses its name to the next build of the same name.
func (d *Driver) noteBuilt(ctx context.Context, e *engine.Client, ref string) error {
	if d.Cache == "" {
		return nil
	}
	id, err := e.ImageID(ctx, ref)
	if err != nil {
		return err
	}
	dir := filepath.Join(d.Cache, notesDir, builtDir)
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = os.WriteFile(filepath.Join(dir, plainID(id)), nil, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot note what was built: %w", err)
	}
	return nil
}

func plainID(id string) string { return filepath.Base(strings.TrimPrefix(id, "sha256:")) }

func (d *Driver) built(id string) bool {
	_, err := os.Lstat(filepath.Join(d.Cache, notesDir, builtDir, plainID(id)))
	return d.Cache != "" && err == nil
}

// forgetImage drops what was noted of an image that is gone.
func (d *Driver) forgetImage(name string) error {
	if strings.HasPrefix(name, agentRepo+":") {
		return os.RemoveAll(d.note(name))
	}
	return os.Remove(filepath.Join(d.Cache, notesDir, builtDir, plainID(name)))
}

// needed are the agents' images that runs which stay are made of and, but for all, the one that each
// agent was last made of: the next start of it would have to build it again, which may take minutes.
func (d *Driver) needed(stays func(instance.ID) bool, all bool) map[string]bool {
	refs := make(map[string]bool)
	last := make(map[string]time.Time)
	newest := make(map[string]string)
	images, _ := os.ReadDir(filepath.Join(d.Cache, notesDir))
	for _, image := range images {
		ref := agentRepo + ":" + image.Name()
		runs, _ := os.ReadDir(filepath.Join(d.Cache, notesDir, image.Name()))
		for _, run := range runs {
			id, err := instance.Parse(run.Name())
			info, ierr := run.Info()
			if err != nil || ierr != nil {
				continue
			}
			if stays(id) {
				refs[ref] = true
			}
			agent := id.Agent()
			if at := info.ModTime(); !at.Before(last[agent]) {
				last[agent], newest[agent] = at, ref
			}
		}
	}
	if !all {
		for _, ref := range newest {
			refs[ref] = true
		}
	}
	return refs
}

// forgetRuns drops the notes of runs whose state is gone, where there are many.
func (d *Driver) forgetRuns(ref string) {
	runs, err := os.ReadDir(d.note(ref))
	if err != nil {
		return
	}
	const few = 16 // below it there is nothing to gain
	for i := 0; len(runs) > few && i < len(runs); i++ {
		if _, err := os.Lstat(filepath.Join(d.Root, runs[i].Name())); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(filepath.Join(d.note(ref), runs[i].Name()))
		}
	}
}
