//go:build linux

package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
	"github.com/bot-bottle/bot-bottle/internal/guest/wire/mux"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/gitgate"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/fence"
	"golang.org/x/sync/errgroup"
)

// Main is `bot-bottle gate`. The owner starts it with the descriptors above and nothing else; it
// returns the exit code: 0 when its owner ended it, 1 when something broke.
func Main(args []string) int {
	if err := run(args); err != nil {
		fmt.Fprintf(os.Stderr, "bot-bottle gate: %v\n", err)
		return 1
	}
	return 0
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		return runProcess()
	case len(args) == 1 && args[0] == wire.ContainerMode:
		return runContainer()
	}
	return errors.New("cannot run: it is started by its owner only")
}

// runProcess is a gate beside its owner, on the same machine.
func runProcess() error {
	if err := fence.Enter(LinkFD - ControlFD + 1); err != nil {
		return err
	}
	owner, err := adopt(ControlFD, "control")
	if err != nil {
		return err
	}
	link, err := adopt(LinkFD, "link")
	if err != nil {
		return err
	}
	return live(owner, link, false)
}

// live is a gate's life between its owner and its sidecar. A gate that isolates starts no git that
// is not in namespaces of its own.
func live(owner, link net.Conn, isolates bool) error {
	in := bufio.NewReader(owner)
	server, ready, session, err := begin(in, link, isolates)
	if err != nil {
		ready = Ready{Problem: err.Error(), Hint: fault.HintOf(err)}
	}
	if told := json.NewEncoder(owner).Encode(ready); err != nil || told != nil {
		return errors.Join(err, told)
	}
	defer server.Close()
	return serve(owner, in, session, server)
}

func adopt(fd uintptr, name string) (net.Conn, error) {
	file := os.NewFile(fd, name)
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("cannot use descriptor %d (%s): %w", fd, name, err)
	}
	return conn, nil
}

// maxSetup bounds the one message of the owner.
const maxSetup = 4 << 20

// begin reads the setup, raises the fence and makes the server, in that order.
func begin(in *bufio.Reader, link net.Conn, isolates bool) (*gitgate.Server, Ready, *mux.Session, error) {
	var setup Setup
	line, err := readLine(in)
	if err == nil {
		err = json.Unmarshal(line, &setup)
	}
	clear(line)
	if err != nil {
		return nil, Ready{}, nil, fmt.Errorf("cannot read the setup: %w", err)
	}
	var ready Ready
	if setup.Config.Git == "" {
		setup.Config.Git, err = findGit()
	}
	var isolated bool
	if err == nil {
		isolated, err = checkGit(context.Background(), setup.Config.Git)
	}
	if err == nil && isolates && !isolated {
		err = fault.WithHint(fault.New(fault.Unsupported, "git cannot be put into namespaces without network here: the kernel lets no user make a namespace"),
			"set user.max_user_namespaces and kernel.unprivileged_userns_clone on the engine's machine, or run the gate on this one with BOT_BOTTLE_GIT_GATE=host")
	}
	if err != nil {
		return nil, ready, nil, err
	}
	if ready.Fences, err = raise(setup.Config); err != nil {
		return nil, ready, nil, err
	}
	if isolated {
		ready.Fences = append(ready.Fences, "git in namespaces without network")
	} else {
		ready.Fences = append(ready.Fences, "no namespaces for git")
	}
	if _, err := link.Write(append([]byte{wire.GateGreeting}, setup.Word...)); err != nil {
		return nil, ready, nil, fmt.Errorf("cannot reach the sidecar: %w", err)
	}
	session, err := mux.Host(link)
	if err != nil {
		return nil, ready, nil, err
	}
	far := &sidecar{session: session}
	deps := gitgate.Deps{
		Scanner: NewScanner(secrets(setup.Known), setup.Canaries), Keys: secrets(setup.Keys), Sign: secret.New(setup.Sign), Audit: far, Isolated: isolated,
	}
	if setup.Asks {
		deps.Asker = far
	}
	server, err := gitgate.New(setup.Config, deps)
	return server, ready, session, err
}

func secrets(values map[string]string) map[string]secret.String {
	out := make(map[string]secret.String, len(values))
	for name, value := range values {
		out[name] = secret.New(value)
	}
	return out
}

// readLine reads one line. The bytes are the caller's, who wipes them.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxSetup {
			return line, errors.New("it is too long")
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// serve answers until the owner or the sidecar is gone.
func serve(owner net.Conn, in io.Reader, session *mux.Session, handler http.Handler) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var group errgroup.Group
	group.Go(func() error {
		_, _ = io.Copy(io.Discard, in)
		cancel(nil)
		return nil
	})
	group.Go(func() error {
		err := server.Serve(session)
		cancel(fmt.Errorf("cannot go on without the sidecar: %w", err))
		return nil
	})
	<-ctx.Done()
	cause := context.Cause(ctx)
	_ = server.Close() // what it serves has ended with ctx
	_ = session.Close()
	_ = owner.Close()
	_ = group.Wait()
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

var _ ask.Asker = (*sidecar)(nil)
