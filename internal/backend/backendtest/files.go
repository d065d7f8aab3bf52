package backendtest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// entry of an archive.
type entry struct {
	name, body, link string
	kind             byte // regular when 0
	mode             int64
}

func archive(entries ...entry) io.Reader {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: e.mode, Size: int64(len(e.body)), ModTime: time.Unix(1700000000, 0)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, e.body)
	}
	_ = w.Close()
	return &buf
}

func (b *bottle) copyIn(dir string, entries ...entry) {
	b.t.Helper()
	if err := b.d.CopyIn(background(b.t), b.h, dir, archive(entries...)); err != nil {
		b.t.Fatal(err)
	}
}

func (s *suite) files(t *testing.T) {
	b := s.launch(t)
	t.Run("what goes in comes out the same", func(t *testing.T) {
		large := strings.Repeat("x", 3<<20)
		b.copyIn(plan.Home+"/new/dir",
			entry{name: "d/", kind: tar.TypeDir, mode: 0o750},
			entry{name: "d/script", body: "#!/bin/sh\n", mode: 0o755},
			entry{name: "d/large", body: large},
			entry{name: "d/link", kind: tar.TypeSymlink, link: "script"})
		got := b.copyOut(plan.Home + "/new/dir/d")
		for name, want := range map[string]string{"d/script": "#!/bin/sh\n", "d/large": large, "d/link": "-> script", "d/": ""} {
			if got[name] != want {
				t.Errorf("%s: %d bytes, want %d", name, len(got[name]), len(want))
			}
		}
	})
	t.Run("what is there is replaced", func(t *testing.T) {
		b.copyIn(plan.Home, entry{name: "f", body: "one"})
		b.copyIn(plan.Home, entry{name: "f", body: "two"})
		if got := b.copyOut(plan.Home + "/f"); got["f"] != "two" {
			t.Errorf("%v", got)
		}
	})
	t.Run("what leaves the directory or is no file is refused", func(t *testing.T) {
		for name, bad := range map[string][]entry{
			"a parent":        {{name: "../out", body: "x"}},
			"a hidden parent": {{name: "a/../../out", body: "x"}},
			"an absolute":     {{name: "/home/node/out", body: "x"}},
			"a device":        {{name: "dev", kind: tar.TypeChar}},
			"a pipe":          {{name: "fifo", kind: tar.TypeFifo}},
			"set-user-id":     {{name: "suid", body: "x", mode: 0o4755}},
			"set-group-id":    {{name: "sgid", body: "x", mode: 0o2755}},
			"through a link":  {{name: "l", kind: tar.TypeSymlink, link: plan.Home}, {name: "l/out", body: "x"}},
			"a link outside":  {{name: "h", kind: tar.TypeLink, link: "../out2"}},
		} {
			if err := b.d.CopyIn(background(t), b.h, plan.Home+"/in", archive(bad...)); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		if _, err := b.d.CopyOut(background(t), b.h, plan.Home+"/out"); !fault.Is(err, fault.NotFound) {
			t.Errorf("something got out: %v", err)
		}
	})
	t.Run("a broken stream is an error", func(t *testing.T) {
		whole, _ := io.ReadAll(archive(entry{name: "f", body: strings.Repeat("x", 4096)}))
		if err := b.d.CopyIn(background(t), b.h, plan.Home, bytes.NewReader(whole[:1024])); err == nil {
			t.Error("half an archive was accepted")
		}
	})
	t.Run("a missing path is not found", func(t *testing.T) {
		if _, err := b.d.CopyOut(background(t), b.h, plan.Home+"/missing"); !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
	if s.o.Shell {
		t.Run("links that race do not let a copy out of its directory", func(t *testing.T) { s.race(t) })
	}
}

// race copies below a directory that the agent keeps swapping for a link to another one.
func (s *suite) race(t *testing.T) {
	b := s.launch(t)
	b.sh("mkdir -p in/d target real")
	stop := b.start(agentLoop("cd /home/node/in; while :; do mv d real; ln -s /home/node/target d; rm d; mv real d; done"), stdioNone())
	for range 200 {
		_ = b.d.CopyIn(background(t), b.h, plan.Home+"/in", archive(entry{name: "d/f", body: "x"}))
	}
	if err := b.d.Signal(background(t), b.h, "KILL"); err != nil {
		t.Fatal(err)
	}
	soon(t, stop, "the end of the loop")
	if out := b.sh("ls -A target"); out != "" {
		t.Errorf("a copy went through a link: %q", out)
	}
}

func (b *bottle) copyOut(path string) map[string]string {
	b.t.Helper()
	r, err := b.d.CopyOut(background(b.t), b.h, path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	got := make(map[string]string)
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if h.Typeflag == tar.TypeSymlink {
			got[h.Name] = "-> " + h.Linkname
			continue
		}
		body, err := io.ReadAll(archive)
		if err != nil {
			b.t.Fatal(err)
		}
		got[h.Name] = string(body)
	}
}
