package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// Record is metadata.json: what a resume needs to know.
type Record struct {
	Identity       instance.ID `json:"identity"`
	AgentName      string      `json:"agent_name"`
	Bottles        []string    `json:"bottles"` // what --bottle named, in order; empty: the agent's own
	Cwd            string      `json:"cwd"`     // "" unless it was brought in
	CopyCwd        bool        `json:"copy_cwd"`
	StartedAt      time.Time   `json:"started_at"` // UTC, refreshed by a resume
	ComposeProject string      `json:"compose_project"`
	Backend        string      `json:"backend"`
	Label          string      `json:"label"`
	Color          string      `json:"color"`
	Observe        bool        `json:"observe,omitempty"` // it records and refuses nothing that a route could allow
}

// Run is the state directory of one identity.
type Run struct {
	ID   instance.ID
	dir  string
	lock *os.File // held while this process owns the run
}

// Run returns the state of an identity, whether it exists or not.
func (h *Home) Run(id instance.ID) *Run {
	return &Run{ID: id, dir: filepath.Join(h.State(), string(id))}
}

// Find returns the state of an identity that must exist; else the kind is fault.NotFound.
func (h *Home) Find(id instance.ID) (*Run, error) {
	r := h.Run(id)
	if _, err := os.Lstat(filepath.Join(r.dir, metadataFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.WithHint(fault.New(fault.NotFound, "there is no bottle %q", id),
				"bot-bottle list shows what there is")
		}
		return nil, writable(err, "cannot read the state of %q", id)
	}
	return r, nil
}

const (
	metadataFile = "metadata.json"
	preserveFile = ".preserve"
	lockFile     = "lock"
)

// Dir is the run's directory, mode 0700.
func (r *Run) Dir() string { return r.dir }

// Paths are the places of this run that a plan names.
func (r *Run) Paths() plan.Paths {
	return plan.Paths{
		State: r.dir,
		Home:  filepath.Join(r.dir, "home"),
		Run:   filepath.Join(r.dir, "run"),
		Audit: filepath.Join(r.dir, "audit.jsonl"),

		Proposals: filepath.Join(r.dir, "supervise", "proposals.jsonl"),
	}
}

// StatusSocket is where a living sidecar answers other processes of the operator: a name in a
// directory, because the whole path may be too long for a socket's address.
func (r *Run) StatusSocket() (dir, name string) { return r.Paths().Run, "sidecar.sock" }

// AgentEnv holds the literals of the agent's environment, mode 0600.
func (r *Run) AgentEnv() string { return filepath.Join(r.dir, "agent", "agent.env") }

// Packages are those that were approved in the run, as JSON.
func (r *Run) Packages() string { return filepath.Join(r.dir, "supervise", "packages.json") }

// Installed are those of them that are in the bottle's home already.
func (r *Run) Installed() string { return filepath.Join(r.dir, "supervise", "installed.json") }

// PromptFile holds the agent's system prompt, mode 0600.
func (r *Run) PromptFile() string { return filepath.Join(r.dir, "agent", "prompt.txt") }

// Dockerfile is what the bottle is made of, where that is the run's own.
func (r *Run) Dockerfile() string { return filepath.Join(r.dir, "Dockerfile") }

// GitGate is where the git gate keeps what is pushed until it was looked at.
func (r *Run) GitGate() string { return filepath.Join(r.dir, "git-gate") }

// Mark holds the moment after which changes of the workspace are the agent's.
func (r *Run) Mark() string { return filepath.Join(r.dir, "agent", "workspace.mark") }

// Transcript is where the provider's own record of the session is kept.
func (r *Run) Transcript() string { return filepath.Join(r.dir, "transcript") }

// Own makes the directories of a new run, locks it for this process and writes the record. It is
// fault.Exists when the identity has a state already. The lock ends with the process.
func (r *Run) Own(record Record) error {
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o700); err != nil {
		return writable(err, "cannot make the state of %q", r.ID)
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fault.New(fault.Exists, "cannot make the state of %q: there is one already", r.ID)
		}
		return writable(err, "cannot make the state of %q", r.ID)
	}
	err := r.Lock()
	if err == nil {
		err = r.Write(r.Paths().Audit, nil) // before the record: whoever finds the run can follow its log
	}
	if err == nil {
		err = r.fill(record)
	}
	if err != nil {
		_ = os.RemoveAll(r.dir) // best effort: the cause is what the caller must know
		r.Unlock()
	}
	return err
}

// Reopen locks a run that was kept, for this process, and refreshes the record. It is fault.Busy
// when another process owns the run, and fault.NotFound when it was removed meanwhile.
func (r *Run) Reopen(record Record) error {
	err := r.take(0)
	if err == nil {
		if _, err = r.ReadRecord(); err == nil {
			err = r.fill(record)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.WithHint(fault.New(fault.NotFound, "there is no bottle %q any more", r.ID), "bot-bottle list shows what there is")
	}
	if err != nil {
		r.Unlock()
	}
	return err
}

func (r *Run) fill(record Record) error {
	for _, d := range []string{"agent", "egress", "dlp", "git-gate", "supervise", "home"} {
		if err := os.MkdirAll(filepath.Join(r.dir, d), 0o700); err != nil {
			return writable(err, "cannot make the state of %q", r.ID)
		}
	}
	return r.WriteRecord(record)
}

// Lock takes the run for this process without waiting. An owner that removed the run meanwhile
// leaves nothing to lock: fs.ErrNotExist.
func (r *Run) Lock() error { return r.take(syscall.O_CREAT) }

func (r *Run) take(create int) error {
	path := filepath.Join(r.dir, lockFile)
	f, err := os.OpenFile(path, create|os.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return writable(err, "cannot lock %q", r.ID)
	}
	held, err := lock(f)
	if held {
		_ = f.Close()
		return fault.WithHint(fault.New(fault.Busy, "%q is running", r.ID),
			"join it with bot-bottle attach %s, or end it with bot-bottle stop %s", r.ID, r.ID)
	}
	if err != nil {
		_ = f.Close()
		return fault.New(fault.Internal, "cannot lock %q: %w", r.ID, err)
	}
	if !isAt(f, path) {
		_ = f.Close()
		return writable(&os.PathError{Op: "lock", Path: path, Err: fs.ErrNotExist}, "cannot lock %q", r.ID)
	}
	r.lock = f
	return nil
}

// isAt reports whether a path still leads to an open file.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// Unlock gives the run back. It is safe to call twice.
func (r *Run) Unlock() {
	if r.lock != nil {
		_ = r.lock.Close() // closing is what unlocks; there is nothing to do about a failure
		r.lock = nil
	}
}

// Running reports whether some process owns the run.
func (r *Run) Running() bool {
	f, err := os.OpenFile(filepath.Join(r.dir, lockFile), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return locked(f)
}

// WriteRecord replaces metadata.json.
func (r *Run) WriteRecord(record Record) error {
	enc, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fault.New(fault.Internal, "cannot encode the record of %q: %w", r.ID, err)
	}
	return writeFile(filepath.Join(r.dir, metadataFile), append(enc, '\n'))
}

// ReadRecord reads metadata.json.
func (r *Run) ReadRecord() (Record, error) {
	path := filepath.Join(r.dir, metadataFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return Record{}, writable(err, "cannot read the record of %q", r.ID)
	}
	var record Record
	if err := json.Unmarshal(raw, &record); err != nil || record.Identity != r.ID {
		if err == nil {
			err = errors.New("it names another identity")
		}
		return Record{}, fault.WithHint(fault.New(fault.Invalid, "cannot use %s: %w", path, err),
			"remove the run with bot-bottle cleanup %s", r.ID)
	}
	return record, nil
}

// Preserve marks the run as one that cleanup leaves alone; why is for a reader.
func (r *Run) Preserve(why string) error {
	return writeFile(filepath.Join(r.dir, preserveFile), []byte(why+"\n"))
}

// Unpreserve removes the mark.
func (r *Run) Unpreserve() error {
	if err := os.Remove(filepath.Join(r.dir, preserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return writable(err, "cannot release %q", r.ID)
	}
	return nil
}

// Preserved reports whether the mark is there.
func (r *Run) Preserved() bool {
	_, err := os.Lstat(filepath.Join(r.dir, preserveFile))
	return err == nil
}

// Write puts a file of the run in place, mode 0600.
func (r *Run) Write(path string, content []byte) error { return writeFile(path, content) }

// Remove deletes everything of the run. The record goes after what it describes, so that a removal
// that was cut short is found again, and the lock goes last, so that nobody moves in meanwhile.
func (r *Run) Remove() error {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return writable(err, "cannot remove %q", r.ID)
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != metadataFile && e.Name() != lockFile {
			errs = append(errs, removeTree(filepath.Join(r.dir, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return writable(err, "cannot remove %q", r.ID)
	}
	for _, path := range []string{filepath.Join(r.dir, metadataFile), filepath.Join(r.dir, lockFile), r.dir} {
		err := os.Remove(path)
		if path == r.dir && errors.Is(err, syscall.ENOTEMPTY) {
			return nil // who came to remove it too took the lock after us, and does
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return writable(err, "cannot remove %q", r.ID)
		}
	}
	return nil
}

// removeTree removes what an agent may have made unremovable for its owner: directories without
// their write or search bits.
func removeTree(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := unlockTree(root, filepath.Base(path)); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func unlockTree(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	if info.Mode().Perm()&0o700 != 0o700 {
		if err := root.Chmod(name, 0o700); err != nil {
			return err
		}
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := unlockTree(root, filepath.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile replaces a file atomically, mode 0600, with its directory.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return writable(err, "cannot write %s", path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return writable(err, "cannot write %s", path)
	}
	_, err = tmp.Write(content)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return writable(err, "cannot write %s", path)
	}
	return nil
}
