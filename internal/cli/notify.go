package cli

import (
	"context"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/instance"
	"github.com/bot-bottle/bot-bottle/internal/operator/inbox"
	"github.com/bot-bottle/bot-bottle/internal/operator/notify"
	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/store"
)

// notifySettings say how the operator hears of questions without looking for them.
type notifySettings struct {
	Desktop bool             `yaml:"desktop"`
	Webhook *webhookSettings `yaml:"webhook"`
}

type webhookSettings struct {
	URL       string `yaml:"url"`
	SecretRef string `yaml:"secret_ref"`
}

func (n notifySettings) check() error {
	if n.Webhook == nil {
		return nil
	}
	if n.Webhook.SecretRef == "" {
		return fault.New(fault.Invalid, "notify.webhook needs a secret_ref, whose value signs what is sent")
	}
	return notify.CheckURL(n.Webhook.URL)
}

// teller tells the operator of the questions of one run.
type teller struct {
	senders []notify.Sender
	stop    context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex // guards failed
	failed []string
}

// mostFailures is how many different failures to tell are worth a line each.
const mostFailures = 3

// newTeller makes ready what settings.yml asks for; nil where that is nothing.
func (a *App) newTeller(ctx context.Context, home *store.Home) (*teller, error) {
	s, err := readSettings(home)
	if err != nil {
		return nil, err
	}
	t := &teller{}
	if s.Notify.Desktop {
		t.senders = append(t.senders, &notify.Desktop{})
	}
	if w := s.Notify.Webhook; w != nil {
		key, err := secret.Resolve(ctx, absolute(w.SecretRef, home), a.Getenv)
		if err != nil {
			return nil, err
		}
		t.senders = append(t.senders, &notify.Webhook{URL: w.URL, Key: key, Version: a.Version})
	}
	if len(t.senders) == 0 {
		return nil, nil //nolint:nilnil // nobody wants to be told
	}
	return t, nil
}

// begin watches the questions of a bottle whose sidecar serves.
func (t *teller) begin(ctx context.Context, home *store.Home, id instance.ID) {
	if t == nil {
		return
	}
	ctx, t.stop = context.WithCancel(ctx)
	t.done = make(chan struct{})
	go func() {
		defer close(t.done)
		client, err := inbox.Box{Home: home}.Connect(ctx, id)
		if err != nil {
			t.fail(err)
			return
		}
		defer func() { _ = client.Close() }()
		notify.Watch(ctx, id, client.Proposals, t.fail, t.senders...)
	}()
}

func (t *teller) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := err.Error(); len(t.failed) < mostFailures && (len(t.failed) == 0 || t.failed[len(t.failed)-1] != text) {
		t.failed = append(t.failed, text)
	}
}

// end stops it, and says what could not be told: before, the terminal was the agent's.
func (t *teller) end(a *App) {
	if t == nil || t.stop == nil {
		return
	}
	t.stop()
	<-t.done
	for _, text := range t.failed {
		a.say("%s", text)
	}
}
