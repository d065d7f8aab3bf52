// Package login reads the login that a harness keeps on the host, follows its changes and renews it
// before it ends.
//
// Its one rule: a bottle may know the facts of a login and never its values; those go to the
// sidecar, and back into the file they came from.
package login

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Prefix begins the reference of a login's token, before the provider's name.
const Prefix = "login:"

// maxFile bounds a login file.
const maxFile = 1 << 20

// Login is what a file holds.
type Login struct {
	provider.Login
	Access, Refresh secret.String
	file            string
}

// Expired reports whether the token is worth nothing at a moment.
func (l Login) Expired(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }

// Due reports whether the token should be renewed: it has less than the margin left, and can be.
func (l Login) Due(now time.Time) bool {
	return l.Renewable && !l.Expires.IsZero() && l.Expires.Sub(now) < Margin
}

// Margin is how long before its end a token is renewed.
const Margin = 5 * time.Minute

// Format is how one harness keeps its login, and who renews it.
type Format struct {
	// Name is the provider's.
	Name string
	// Issuer is the host that renews, by a POST to tokenPath.
	Issuer string

	tokenPath string
	client    string // the harness's public client id
	folder    string // below the user's home
	folderVar string // the variable that names another folder
	file      string
	logIn     string // what a person does to get a login
	instead   string // what works without one
	decode    func(raw []byte) (Login, error)
	merge     func(raw []byte, renewed answer, now time.Time) ([]byte, error)
}

// For returns the format of a provider's login; false where the provider has none.
func For(name string) (Format, bool) {
	for _, f := range []Format{codexFormat(), claudeFormat()} {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// File is where the login lies.
func (f Format) File(home string, env func(string) (string, bool)) string {
	if dir, ok := env(f.folderVar); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, f.file)
	}
	return filepath.Join(home, f.folder, f.file)
}

// Read returns the login in a file. Its errors say what to do and hold nothing of the file.
func (f Format) Read(file string) (Login, error) {
	raw, err := readFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Login{}, fault.WithHint(fault.New(fault.NotFound, "cannot use the login of %s: there is none at %s", f.Name, file),
			"%s; or %s", f.logIn, f.instead)
	}
	if err != nil {
		return Login{}, fault.WithHint(fault.New(fault.Invalid, "cannot use the login of %s at %s: %w", f.Name, file, err), "%s", f.logIn)
	}
	defer clear(raw)
	l, err := f.decode(raw)
	if err != nil {
		hint := f.logIn
		if errors.Is(err, errAPIKey) {
			hint = f.instead
		}
		return Login{}, fault.WithHint(fault.New(fault.Invalid, "cannot use the login of %s at %s: %w", f.Name, file, err), "%s", hint)
	}
	l.file = file
	return l, nil
}

// Usable says why a login cannot be used any more, or nil.
func (f Format) Usable(l Login, now time.Time) error {
	if !l.Expired(now) || l.Renewable {
		return nil
	}
	return fault.WithHint(fault.New(fault.Invalid, "cannot use the login of %s at %s: it ended at %s and cannot be renewed",
		f.Name, l.file, l.Expires.UTC().Format(time.RFC3339)), "%s", f.logIn)
}

var (
	errAPIKey = errors.New("it holds an API key, not a login")
	errBroken = errors.New("it cannot be understood")
)

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(raw) > maxFile {
		return nil, errors.New("it is too large")
	}
	return raw, nil
}

// reason is what the system said, without the name that the message has already.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
