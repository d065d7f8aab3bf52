package cli

import (
	"context"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/bot-bottle/bot-bottle/internal/backend"
	"github.com/bot-bottle/bot-bottle/internal/bottle"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/sidecar/control"
)

// dialControl speaks to a sidecar over its owner's connection.
func dialControl(conn net.Conn) bottle.Sidecar { return control.NewClient(conn) }

// operate calls the sidecar of a running bottle, as any process of the operator may.
func (a *App) operate(ctx context.Context, c *cobra.Command, name string, do func(*control.Client, instance.ID) error) error {
	return a.inBottle(ctx, c, name, func(d bottle.Deps, id instance.ID) (backend.Exit, error) {
		conn, err := d.Operate(ctx, id)
		if err != nil {
			return backend.Exit{}, err
		}
		client := control.NewClient(conn)
		defer client.Close()
		return backend.Exit{}, do(client, id)
	})
}

// traceTiming tells how long a start took, part by part, where BOT_BOTTLE_TRACE asks for it.
func (a *App) traceTiming(t bottle.Timing) {
	if a.env("BOT_BOTTLE_TRACE") == "" {
		return
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	a.say("ready in %.1f ms: prepare %.1f, sidecar %.1f, self-check %.1f, provision %.1f",
		ms(t.Total), ms(t.Prepare), ms(t.Sidecar), ms(t.Check), ms(t.Provision))
	for _, c := range t.Checks {
		a.say("  self-check: %s: %s", c.Name, c.How)
	}
}
