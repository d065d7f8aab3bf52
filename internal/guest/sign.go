package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/plan"
)

// KeygenMode as the first argument makes the program what git takes for ssh-keygen
// (gpg.ssh.program): signatures come from the git gate, all else is the real program's.
const KeygenMode = "-Y"

// Of a signature: how long the gate may take, and how much git may want signed or get.
const (
	signTime     = 30 * time.Second
	maxSigned    = 2 << 20
	maxSignature = 64 << 10
)

// Keygen is `ssh-keygen -Y …`, as git calls it, without a key.
func Keygen(args []string) int {
	if len(args) > 1 && args[1] == "sign" {
		if err := sign(args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n", err)
			return 1
		}
		return 0
	}
	program, err := exec.LookPath("ssh-keygen")
	if err == nil {
		err = syscall.Exec(program, append([]string{"ssh-keygen"}, args...), os.Environ())
	}
	fmt.Fprintf(os.Stderr, "cannot check signatures: %v\n", err)
	return 1
}

// sign takes "-n git -f KEY [-U] FILE" and writes FILE.sig. Which key it is says the gate.
func sign(args []string) error {
	at := slices.Index(args, "-n")
	if at < 0 || len(args) < at+3 || args[at+1] != "git" {
		return errors.New("cannot sign: only what git makes is signed here")
	}
	name := args[len(args)-1]
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("cannot sign: %w", err)
	}
	payload, err := io.ReadAll(io.LimitReader(f, maxSigned))
	_ = f.Close()
	if err != nil {
		return fmt.Errorf("cannot sign: %w", err)
	}
	signature, err := signature(payload)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".sig", signature, 0o600); err != nil {
		return fmt.Errorf("cannot sign: %w", err)
	}
	return nil
}

// signature asks the gate, which is on the sidecar's own address, whatever proxy is set.
func signature(payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTime)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(plan.SidecarIPv4, "80"))
	}}}
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+plan.GateHost+plan.GateSignPath, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	rq.Header.Set("Content-Type", "application/octet-stream")
	answer, err := client.Do(rq)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the git gate for a signature: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSignature))
	if err != nil {
		return nil, fmt.Errorf("cannot read the git gate's signature: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return text, nil
}
