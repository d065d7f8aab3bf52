package gate_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
)

// TestFetchesAreFewAndBounded asks for a dozen fetches at once, with a git that says when it starts
// and with which limits, and goes on when it is told.
func TestFetchesAreFewAndBounded(t *testing.T) {
	dir := t.TempDir()
	said, gone := filepath.Join(dir, "said"), filepath.Join(dir, "go")
	if err := unix.Mkfifo(said, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(gone, 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = upload-pack ] || exec git \"$@\"\necho started >%[1]s\nread go <%[2]s\n"+
		// The limits come right after the start, which the word may overtake.
		"n=0; while [ \"$(ulimit -v)\" = unlimited ] || [ \"$(ulimit -t)\" = unlimited ]; do n=$((n+1)); [ $n -lt 2000 ] || break; done\n"+
		"echo \"limits $(ulimit -v) $(ulimit -t)\" >%[1]s\n", said, gone)
	fake := filepath.Join(dir, "git")
	if err := os.WriteFile(fake, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	w := open(t, func(c *gitgate.Config, d *gitgate.Deps) { c.Git, d.Isolated = fake, false })
	lines, err := os.OpenFile(said, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	tell, err := os.OpenFile(gone, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tell.Close()
	const asked = 12
	var arrived, answered sync.WaitGroup
	arrived.Add(asked)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, rq *http.Request) {
		arrived.Done()
		w.server.ServeHTTP(rw, rq)
	}))
	defer front.Close()
	defer front.CloseClientConnections() // which ends what still runs
	for range asked {
		answered.Go(func() {
			resp, err := http.Post(front.URL+"/app/git-upload-pack", "application/x-git-upload-pack-request", strings.NewReader("0000"))
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	arrived.Wait()
	in := bufio.NewScanner(lines)
	for running, ended := 0, 0; ended < asked; {
		if err := lines.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() {
			t.Fatalf("after %d of %d: %v", ended, asked, in.Err())
		}
		switch line := in.Text(); line {
		case "started":
			running++
		case "limits 4194304 900":
			running, ended = running-1, ended+1
		default:
			t.Fatalf("a fetch ran with %q", line)
		}
		if running > 4 {
			t.Fatalf("%d fetches run at once", running)
		}
		if running == 4 || ended+running == asked {
			if _, err := tell.WriteString("go\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	answered.Wait()
}
