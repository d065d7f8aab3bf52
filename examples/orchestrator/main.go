// Command orchestrator gives the same task to several agents at once, each in a bottle of its own,
// and prints what came of it.
//
//	go run ./examples/orchestrator -agent claude -n 3 'write a haiku about bottles'
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/bot-bottle/bot-bottle/bottle"
)

func main() { os.Exit(run()) }

func run() int {
	agent := flag.String("agent", "claude", "the agent's `NAME`")
	n := flag.Int("n", 2, "how `MANY` at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var all sync.WaitGroup
	var mu sync.Mutex
	bad := 0
	for i := range *n {
		all.Go(func() {
			text, ok := one(ctx, *agent, fmt.Sprintf("copy-%d", i+1), strings.Join(flag.Args(), " "))
			mu.Lock()
			defer mu.Unlock()
			fmt.Print(text)
			if !ok {
				bad++
			}
		})
	}
	all.Wait()
	return min(bad, 1)
}

// one runs one agent to its end and says how that was.
func one(ctx context.Context, agent, label, task string) (string, bool) {
	r, err := bottle.Client{}.Start(ctx, bottle.Options{Agent: agent, Prompt: task, Label: label})
	if err != nil {
		return fmt.Sprintf("%s: %v\n", label, err), false
	}
	asked := 0
	for e, err := range r.Events(ctx) {
		if err == nil && e.Kind == "request" {
			asked++
		}
	}
	result, err := r.Wait()
	if err != nil {
		return fmt.Sprintf("%s: %v\n", label, err), false
	}
	return fmt.Sprintf("%s: %s ended with %d after %.1f s, %d requests, %d kinds refused\n%s\n",
		label, result.Identity, result.ExitCode, result.Seconds, asked, len(result.Refused), result.Output), result.ExitCode == 0
}
