package build

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
)

// cancelLimit bounds how long the engine is asked to end a build that nobody waits for.
const cancelLimit = 5 * time.Second

// errNoSession is that of an engine that says it has BuildKit and has none.
var errNoSession = errors.New("the engine has no BuildKit")

// buildKit builds with BuildKit: the engine asks for files and logins on a session.
func (b *builder) buildKit(ctx context.Context, query url.Values) error {
	files := map[string]*source{
		"dockerfile": {texts: map[string]string{"Dockerfile": b.Dockerfile}, sent: b.sent},
		"context":    {dir: b.Dir, sent: b.sent},
	}
	own, err := b.ownIgnoreFile()
	if err != nil {
		return err
	}
	if own != "" {
		files["dockerfile"].texts["Dockerfile.dockerignore"] = own
	}
	s := &session{files: files, logins: b.login}
	id, key := rand.Text(), sha256.Sum256([]byte("bot-bottle\x00"+b.Dir))
	conn, err := b.engine.Session(ctx, id, hex.EncodeToString(key[:]), s.methods())
	if engine.IsStatus(err, http.StatusNotFound) || engine.IsStatus(err, http.StatusNotImplemented) {
		return errNoSession
	}
	if err != nil {
		return fmt.Errorf("cannot open a session for the build: %w", err)
	}
	var served sync.WaitGroup
	l := newLine(conn)
	served.Go(func() { s.serve(ctx, l) })
	defer served.Wait()
	defer l.Close()
	// An engine ends a build with the connection that asked for it; this tells one that does not.
	over := context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
		defer cancel()
		_ = b.engine.CancelBuild(ending, id)
	})
	defer over()
	for name, value := range map[string]string{"version": "2", "session": id, "buildid": id, "remote": "client-session"} {
		query.Set(name, value)
	}
	said, err := b.engine.StartBuild(ctx, query, nil, "")
	if err != nil {
		return err
	}
	defer said.Close()
	return (&trace{steps: b.steps, names: map[string]string{}}).read(said)
}

// ownIgnoreFile is the .dockerignore that is this Dockerfile's alone.
func (b *builder) ownIgnoreFile() (string, error) {
	if b.Dir == "" || b.Name == "" {
		return "", nil
	}
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return "", fmt.Errorf("cannot read what the Dockerfile copies from: %w", err)
	}
	defer root.Close()
	f, err := openText(root, b.Name+ignoreName)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(f)
		_ = f.Close()
	}
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", b.Name+ignoreName, err)
	}
	return string(raw), nil
}

// trace understands what BuildKit tells: StatusResponse of its control.proto, in base64.
type trace struct {
	steps *steps
	names map[string]string // of vertices by digest
	ran   bool              // something was not in the cache
	made  bool              // the image is there
}

func (t *trace) read(from io.Reader) error {
	d := json.NewDecoder(from)
	for {
		var m struct {
			ID    string          `json:"id"`
			Aux   json.RawMessage `json:"aux"`
			Error string          `json:"error"`
		}
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF) && t.made:
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the engine's progress: %w", err)
		case m.Error != "":
			return errors.New(m.Error)
		case m.ID == "moby.image.id":
			t.made = true
			continue
		case m.ID != "moby.buildkit.trace":
			continue
		}
		var status []byte
		if err := json.Unmarshal(m.Aux, &status); err != nil {
			return fmt.Errorf("cannot read the engine's progress: %w", err)
		}
		if err := t.status(status); err != nil {
			return err
		}
	}
}

func (t *trace) status(message []byte) error {
	all, err := fields(message)
	if err != nil {
		return err
	}
	for _, f := range all {
		part, err := fields(f.bytes)
		if err != nil {
			return err
		}
		switch f.number {
		case 1:
			t.vertex(part)
		case 2:
			t.layer(part)
		case 3:
			t.log(part)
		}
	}
	return nil
}

// vertex is a step in some state.
func (t *trace) vertex(part []field) {
	var digest, name, failed string
	var cached, started bool
	for _, f := range part {
		switch f.number {
		case 1:
			digest = string(f.bytes)
		case 3:
			name = string(f.bytes)
		case 4:
			cached = f.value != 0
		case 5:
			started = true
		case 7:
			failed = string(f.bytes)
		}
	}
	t.names[digest] = name
	switch {
	case failed != "":
		if !strings.HasSuffix(failed, "context canceled") { // the others, because of this one
			t.steps.failed(digest, name)
		}
	case cached || !started || strings.HasPrefix(name, "[internal]") || base(name):
	case strings.HasPrefix(name, "["):
		t.ran = true
		t.steps.runs(digest, name)
	case t.ran: // "exporting to image", which is there after each build
		t.steps.runs(digest, name)
	}
}

// base tells whether a step is a base image; it is told where it is fetched.
func base(name string) bool {
	_, what, _ := strings.Cut(name, "] ")
	return strings.HasPrefix(what, "FROM ")
}

// layer is how far something inside a step is.
func (t *trace) layer(part []field) {
	var digest string
	var total uint64
	for _, f := range part {
		switch f.number {
		case 2:
			digest = string(f.bytes)
		case 5:
			total = f.value
		}
	}
	if name := t.names[digest]; total > 0 && base(name) {
		t.ran = true
		t.steps.runs(digest, name)
	}
}

func (t *trace) log(part []field) {
	var digest string
	var text []byte
	for _, f := range part {
		switch f.number {
		case 1:
			digest = string(f.bytes)
		case 4:
			text = f.bytes
		}
	}
	t.steps.wrote(digest, text)
}
