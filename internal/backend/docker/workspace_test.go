package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/backend/backendtest"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/engine"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/need"
	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// packed is a workspace of so many files of 4 KB.
func packed(b *testing.B, files int) []byte {
	b.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	content := make([]byte, 4<<10)
	for i := range files {
		content[0], content[1] = byte(i), byte(i>>8)
		name := fmt.Sprintf("workspace/d%d/f%d", i/50, i)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkAWorkspace brings one in as it is done, a tar into the home of a running bottle, and as an image
// of its own would: a container of the agent's image, the tar into it, a commit, and its removal.
// The copy out of that image into the home would come on top.
func BenchmarkAWorkspace(b *testing.B) {
	need.Require(b, need.Docker, shared.missing)
	for _, files := range []int{40, 4000} {
		workspace := packed(b, files)
		b.Run(fmt.Sprintf("%d files into the home", files), func(b *testing.B) {
			root := b.TempDir()
			d := docker.New(docker.Config{Program: os.Executable, Root: root, Getenv: onRuntime("runc"), Image: enginetest.Image})
			h, err := d.Prepare(b.Context(), backendtest.Plan(root))
			if err == nil {
				_, err = d.Launch(b.Context(), h)
			}
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = d.Teardown(context.Background(), h) })
			n := 0
			for b.Loop() {
				n++
				if err := d.CopyIn(b.Context(), h, fmt.Sprintf("%s/%d", plan.Home, n), bytes.NewReader(workspace)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d files into an image", files), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				intoImage(b, workspace, n)
			}
		})
	}
}

func intoImage(b *testing.B, workspace []byte, n int) {
	b.Helper()
	e := shared.engine
	id, err := e.Client.Create(b.Context(), "", engine.Container{Image: enginetest.Image, Cmd: []string{"true"}})
	if err != nil {
		b.Fatal(err)
	}
	var d net.Dialer
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", e.Socket)
	}}}
	for _, c := range []struct {
		method, path string
		body         io.Reader
	}{
		{http.MethodPut, "/containers/" + id + "/archive?path=/opt", bytes.NewReader(workspace)},
		{http.MethodPost, fmt.Sprintf("/commit?container=%s&repo=bot-bottle-bench&tag=n%d&pause=0", id, n), nil},
	} {
		req, err := http.NewRequestWithContext(b.Context(), c.method, "http://engine/v1.41"+c.path, c.body)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= http.StatusBadRequest {
			b.Fatalf("%s: %s", c.path, resp.Status)
		}
	}
	if err := e.Client.Remove(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := e.Client.RemoveImage(b.Context(), fmt.Sprintf("bot-bottle-bench:n%d", n)); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}
