package notify

import (
	"context"
	"errors"
	"fmt"
	"html"
	"os/exec"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
)

// calm is the least time between two notifications on the desktop.
const calm = 3 * time.Second

// Desktop shows questions by notify-send, where that is installed.
type Desktop struct {
	// Program is what is run; "": notify-send from PATH.
	Program string
	// Pause waits between notifications; nil: as long as it says.
	Pause func(context.Context, time.Duration) error
}

// Send implements Sender: one notification, however many there are.
func (d *Desktop) Send(ctx context.Context, all []ask.Proposal) error {
	if len(all) == 0 {
		return nil
	}
	program := d.Program
	if program == "" {
		program = "notify-send"
	}
	title := view.Safe(all[0].ID, 100) + " asks"
	if len(all) > 1 {
		title += fmt.Sprintf(", and %d more", len(all)-1)
	}
	body := html.EscapeString(view.Safe(all[0].Title, 200)) + "\nbot-bottle supervise" // the desktop reads markup in it
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := exec.CommandContext(limited, program, "--app-name=bot-bottle", "--", title, body)
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("cannot notify on the desktop: there is no notify-send")
	}
	if err != nil {
		return fmt.Errorf("cannot notify on the desktop: %w: %s", err, view.Safe(strings.TrimSpace(string(out)), 200))
	}
	hold := d.Pause
	if hold == nil {
		hold = pause
	}
	_ = hold(ctx, calm) // what comes meanwhile is told together
	return nil
}
