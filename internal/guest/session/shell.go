package session

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/guest/wire"
)

// Shell runs a script as the agent would and returns what it printed.
func (s *Server) Shell(script string, deadline time.Duration) (string, error) {
	return s.Output(deadline, "/bin/sh", "-c", script)
}

// Output runs a program as the agent would and returns what it printed.
func (s *Server) Output(deadline time.Duration, args ...string) (string, error) {
	c, err := start(s.reaper, &wire.Request{Args: args, Dir: "/", NoIn: true}, s.home)
	if err != nil {
		return "", err
	}
	defer c.close()
	var out [2]strings.Builder
	var outputs sync.WaitGroup
	for i, f := range c.out {
		outputs.Go(func() {
			c.drain(f, func(p []byte) error {
				_, err := out[i].Write(p)
				return err
			})
		})
	}
	timer := time.AfterFunc(deadline, func() { _ = s.reaper.signalGroup(c.proc, syscall.SIGKILL) })
	defer timer.Stop()
	outputs.Wait()
	<-c.proc.done
	if exit := c.exit(); exit.Code != 0 {
		return "", fmt.Errorf("%s ended with %d: %w", args[0], exit.Code, errors.New(out[1].String()))
	}
	return out[0].String(), nil
}
