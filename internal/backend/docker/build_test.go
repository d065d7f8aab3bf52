package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/backend/docker/build"
	"github.com/bot-bottle/bot-bottle/internal/backend/docker/enginetest"
	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// builders are both, by what DOCKER_BUILDKIT says of them; "" chooses what docker would.
func builders() map[string]string {
	return map[string]string{"BuildKit": "1", "the classic builder": "0"}
}

// made builds an image and returns what was told.
func made(ctx context.Context, t *testing.T, env map[string]string, r build.Request) (string, error) {
	t.Helper()
	getenv(t) // an engine
	if env["DOCKER_CONFIG"] == "" {
		env["DOCKER_CONFIG"] = t.TempDir()
	}
	r.Tag = "bot-bottle-test:built"
	var said []string
	err := build.Make(ctx, shared.engine.Client, func(name string) string { return env[name] }, r, func(line string) { said = append(said, line) })
	return strings.Join(said, "\n"), err
}

// folder is a directory to copy from.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

func TestADockerfileMayUseWhatBuildKitHas(t *testing.T) {
	dir := folder(t, map[string]string{"tool": "#!/bin/sh\necho it works\n"})
	text := "FROM " + enginetest.Image + "\n" +
		"COPY --chmod=755 tool /usr/local/bin/\n" +
		"RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch tool >/cache/said && grep -q works /cache/said\n" +
		"RUN [ ! -e /cache/said ] && [ \"$(stat -c %a /usr/local/bin/tool)\" = 755 ]\n"
	for name, env := range map[string]map[string]string{"as it is chosen by itself": {}, "as the user chose it": {"DOCKER_BUILDKIT": "1"}} {
		t.Run(name, func(t *testing.T) {
			if said, err := made(limited(t), t, env, build.Request{Dockerfile: text, Dir: dir}); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	t.Run("and is told where it has not", func(t *testing.T) {
		_, err := made(limited(t), t, map[string]string{"DOCKER_BUILDKIT": "0"}, build.Request{Dockerfile: text, Dir: dir})
		if err == nil || !strings.Contains(fault.HintOf(err), "BuildKit") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
	})
}

func TestABuildCopiesWhatIsNotIgnored(t *testing.T) {
	for name, choice := range builders() {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{
				"a": "a", "deep/b": "b", "deep/keep": "k", "secret": "s", "node_modules/x/y": "y", "Dockerfile": "FROM nothing",
				".dockerignore": "secret\nnode_modules\ndeep\n!deep/keep\nDockerfile\n.dockerignore\n",
			})
			must(t, os.Symlink("a", filepath.Join(dir, "link")))
			must(t, os.Symlink("/etc/shadow", filepath.Join(dir, "out")))
			r := build.Request{Dir: dir, Name: "Dockerfile", Args: map[string]string{"SAID": "hello"}, Labels: map[string]string{"bot-bottle.test": "built"}}
			r.Dockerfile = "FROM " + enginetest.Image + "\nARG SAID\nCOPY . /all/\n" +
				"RUN [ \"$SAID\" = hello ] && cd /all && find . | LC_ALL=C sort | tr '\\n' ' ' >/is && " +
				"[ \"$(cat /is)\" = '. ./a ./deep ./deep/keep ./link ./out ' ] && [ \"$(readlink out)\" = /etc/shadow ] && [ \"$(stat -c %u:%a a)\" = 0:600 ]\n"
			env := map[string]string{"DOCKER_BUILDKIT": choice}
			if said, err := made(limited(t), t, env, r); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			t.Run("and the file of this Dockerfile's own comes first", func(t *testing.T) {
				must(t, os.WriteFile(filepath.Join(dir, "Dockerfile.dockerignore"), []byte("*\n!secret\n"), 0o600))
				r.Dockerfile = "FROM " + enginetest.Image + "\nCOPY . /all/\nRUN [ \"$(find /all -type f | grep -v ockerfile)\" = /all/secret ]\n"
				if said, err := made(limited(t), t, env, r); err != nil {
					t.Errorf("%v\n%s", err, said)
				}
			})
		})
	}
}

func TestWhatABuildTells(t *testing.T) {
	for name, choice := range builders() {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"DOCKER_BUILDKIT": choice}
			unique := fmt.Sprint(time.Now().UnixNano())
			good := build.Request{Dir: folder(t, map[string]string{"a": unique}), Dockerfile: "FROM " + enginetest.Image + "\nCOPY a /a\nRUN echo quiet word; cat /a\n"}
			t.Run("is a line for each step that it does", func(t *testing.T) {
				said, err := made(limited(t), t, env, good)
				if err != nil || strings.Count(said, "COPY a /a") != 1 || strings.Count(said, "RUN echo") != 1 || strings.Contains(said, "FROM") || strings.Contains(said, "\nquiet") || strings.Contains(said, unique) {
					t.Errorf("%v\n%s", err, said)
				}
			})
			t.Run("is nothing where all is known already", func(t *testing.T) {
				if said, err := made(limited(t), t, env, good); err != nil || said != "" {
					t.Errorf("%v\n%s", err, said)
				}
			})
			t.Run("is the end of the log where it fails", func(t *testing.T) {
				bad := good
				bad.Dockerfile += "RUN for i in $(seq 100 200); do echo line $i; done; printf '\\033[2Jgone'; exit 7\n"
				said, err := made(limited(t), t, env, bad)
				if err == nil || !strings.Contains(err.Error(), "7") {
					t.Errorf("it ended with %v", err)
				}
				if strings.Contains(said, "    line 181\n") || !strings.Contains(said, "    line 182\n") || !strings.Contains(said, "    line 200\n    ?[2Jgone") {
					t.Errorf("%s", said)
				}
			})
		})
	}
}

// A build that the user gives up is given up by the engine, too; here the step's connection to the
// test ends with it. It is also how a build uses the host's network.
func TestABuildThatIsGivenUpEnds(t *testing.T) {
	for name, choice := range builders() {
		t.Run(name, func(t *testing.T) {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			in := make(chan net.Conn, 1)
			go func() {
				if c, err := l.Accept(); err == nil {
					in <- c
				}
			}()
			ctx, giveUp := context.WithCancel(limited(t))
			defer giveUp()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			r := build.Request{Network: "host", Dockerfile: "FROM " + enginetest.Image + "\nRUN bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port + "; exec sleep 600'\n"}
			ended := make(chan error, 1)
			go func() {
				_, err := made(ctx, t, map[string]string{"DOCKER_BUILDKIT": choice}, r)
				ended <- err
			}()
			var step net.Conn
			select {
			case step = <-in:
			case err := <-ended:
				t.Fatalf("the build ended by itself: %v", err)
			}
			defer step.Close()
			giveUp()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			must(t, step.SetReadDeadline(time.Now().Add(time.Minute)))
			if _, err := step.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("its step goes on: %v", err)
			}
		})
	}
}
