package pull

import (
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // git's own names of objects
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// objects copies what the host lacks: loose objects, each of which must be what its name says, and
// packs, which are put aside for indexPacks. Loose ones come first: one that moves into a pack
// meanwhile is then in either.
func (s *source) objects(to, host string) error {
	dirs, err := fs.ReadDir(s.root.FS(), ".git/objects")
	if err != nil {
		return fmt.Errorf("cannot read the agent's objects: %w", err)
	}
	for _, d := range dirs {
		if d.IsDir() && len(d.Name()) == 2 && hexadecimal(d.Name()) {
			if err := s.loose(d.Name(), to, host); err != nil {
				return fault.New(fault.Denied, "cannot take the agent's objects: %w", err)
			}
		}
	}
	if err := s.packs(to, host); err != nil {
		return fault.New(fault.Denied, "cannot take the agent's objects: %w", err)
	}
	return nil
}

func (s *source) loose(fan, to, host string) error {
	entries, err := fs.ReadDir(s.root.FS(), path.Join(".git/objects", fan))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !objectID(fan+name) || exists(filepath.Join(host, fan, name)) {
			continue
		}
		if err := s.object(fan, name, to); err != nil && !errors.Is(err, fs.ErrNotExist) { // gone meanwhile: into a pack
			return err
		}
	}
	return nil
}

// object copies one loose object while it hashes what is in it.
func (s *source) object(fan, name, to string) error {
	f, size, err := s.regular(path.Join(".git/objects", fan, name), maxLoose)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Join(to, fan), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(to, fan, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	rest := io.LimitReader(f, size) // it may grow while it is read
	err = verified(io.TeeReader(rest, out), fan+name)
	if err == nil {
		_, err = io.Copy(out, rest)
	}
	return errors.Join(err, out.Close())
}

// verified unpacks an object and compares its hash with its name.
func verified(packed io.Reader, name string) error {
	unpacked, err := zlib.NewReader(packed)
	if err != nil {
		return fmt.Errorf("object %s is damaged: %w", name, err)
	}
	sum := sha1.New() //nolint:gosec // as above
	if len(name) == 2*sha256.Size {
		sum = sha256.New()
	}
	n, err := io.Copy(sum, io.LimitReader(unpacked, maxLoose+1))
	switch {
	case err != nil:
		return fmt.Errorf("object %s is damaged: %w", name, err)
	case n > maxLoose:
		return fmt.Errorf("object %s has more than %d bytes", name, int64(maxLoose))
	case hex.EncodeToString(sum.Sum(nil)) != name:
		return fmt.Errorf("object %s is not what its name says", name)
	}
	return nil
}

// packs copies each pack that the host does not have under the same name and size. Their
// indexes are the agent's word and not taken.
func (s *source) packs(to, host string) error {
	entries, err := fs.ReadDir(s.root.FS(), ".git/objects/pack")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		id, is := strings.CutPrefix(strings.TrimSuffix(name, ".pack"), "pack-")
		if !is || !strings.HasSuffix(name, ".pack") || !objectID(id) {
			continue
		}
		f, size, err := s.regular(path.Join(".git/objects/pack", name), maxTotal)
		if err != nil {
			return err
		}
		known, kerr := os.Stat(filepath.Join(host, "pack", name))
		if kerr != nil || known.Size() != size {
			err = aside(io.LimitReader(f, size), filepath.Join(to, "incoming-"+name))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func aside(f io.Reader, to string) error {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return errors.Join(err, out.Close())
}

// indexPacks makes what was put aside part of the quarantine, with indexes of our own, which
// hashes every object in them.
func (w *Work) indexPacks(ctx context.Context) error {
	found, err := filepath.Glob(filepath.Join(w.dir, "objects", "incoming-*.pack"))
	if err != nil {
		return err
	}
	for _, name := range found {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = w.git.pipe(w.git.command(ctx, "index-pack", "--stdin"), f, io.Discard)
		if err = errors.Join(err, f.Close(), os.Remove(name)); err != nil {
			return fault.New(fault.Denied, "cannot take the agent's pack: %w", err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
