package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

const keySize = 32

// Key returns the user's own key in hex, which is made when it is first asked for. Fingerprints of
// findings are keyed with it, so that a manifest can name one and nobody can guess the value
// behind it. It authenticates nothing.
func (h *Home) Key() (secret.String, error) {
	path := filepath.Join(h.root, "fingerprint.key")
	for range 2 {
		raw, err := os.ReadFile(path)
		switch {
		case err == nil && len(raw) == keySize:
			return secret.New(hex.EncodeToString(raw)), nil
		case err == nil:
			return secret.String{}, fault.WithHint(fault.New(fault.Invalid, "cannot use %s: it has %d bytes, not %d", path, len(raw), keySize),
				"remove it; fingerprints in dlp.allow then change")
		case !errors.Is(err, fs.ErrNotExist):
			return secret.String{}, writable(err, "cannot read %s", path)
		}
		if err := makeKey(path); err != nil {
			return secret.String{}, err
		}
	}
	return secret.String{}, fault.New(fault.Internal, "cannot make %s", path)
}

// makeKey puts a whole key at path; of two processes that do so at once one wins for both.
func makeKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return writable(err, "cannot make %s", filepath.Dir(path))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".fingerprint-*") // mode 0600
	if err != nil {
		return writable(err, "cannot make %s", path)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return writable(err, "cannot make %s", path)
	}
	return nil
}
