package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// helperLimit bounds how long a helper may think; some of them ask a cloud.
const helperLimit = time.Minute

// ask asks one of docker's credential helpers, as docker does: the program that the operator
// configured, with the registry on its standard input and the login on its output.
// <https://github.com/docker/docker-credential-helpers>.
func ask(ctx context.Context, helper, server string) (Login, bool, error) {
	if strings.ContainsRune(helper, '/') {
		return Login{}, false, fault.New(fault.Invalid, "cannot ask for the login at %s: docker's configuration names a path, %q, for a helper", server, helper)
	}
	program := "docker-credential-" + helper
	ctx, cancel := context.WithTimeout(ctx, helperLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.WaitDelay = time.Second // its children may keep the pipe
	cmd.Stdin = strings.NewReader(server)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		// It says so on its output, which is told to nobody else: it might hold anything.
		if strings.Contains(strings.ToLower(out.String()), "credentials not found") {
			return Login{}, false, nil
		}
		return Login{}, false, fault.WithHint(fault.New(fault.Unavailable, "cannot ask %s for the login at %s: %w", program, server, err),
			"run docker login, or take the helper out of docker's config.json")
	}
	var said struct{ Username, Secret string }
	if json.Unmarshal(out.Bytes(), &said) != nil {
		return Login{}, false, fault.New(fault.Invalid, "cannot read what %s says of %s", program, server)
	}
	if said.Username == "<token>" {
		said.Username = ""
	}
	return Login{User: said.Username, Secret: secret.New(said.Secret)}, said.Secret != "", nil
}
