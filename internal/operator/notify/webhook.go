package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/ask"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/operator/view"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Limits of one delivery.
const (
	attempts = 4
	timeout  = 5 * time.Second
)

// Webhook posts each question to a URL, signed.
//
// The body is a Notice. X-Bot-Bottle-Signature is "sha256=" and, in hexadecimal, HMAC-SHA256 with the
// key over the value of X-Bot-Bottle-Timestamp (Unix seconds), a dot and the body. A delivery that
// fails, or is answered with 429 or 5xx, is tried four times in all, after 1, 4 and 16 seconds; the
// proposal's id stays the same. Redirects are not followed.
type Webhook struct {
	URL     string
	Key     secret.String
	Version string // of this program
	// Pause waits between attempts; nil: as long as it says.
	Pause func(context.Context, time.Duration) error
	Now   func() time.Time // nil: time.Now
}

// Notice is the body of a delivery.
type Notice struct {
	Event     string    `json:"event"` // "proposal"
	ID        string    `json:"id"`
	Kind      ask.Kind  `json:"kind"`
	Title     string    `json:"title"` // what is asked for, computed
	AskedAt   time.Time `json:"asked_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // refused then
}

// CheckURL refuses a place that is not spoken to by TLS, unless it is this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fault.New(fault.Invalid, "cannot use the webhook: its url cannot be read")
	case u.Host == "" || u.User != nil:
		return fault.New(fault.Invalid, "cannot use the webhook: its url needs a host, and no user in it")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
	}
	return fault.New(fault.Invalid, "cannot use the webhook: its url must begin with https://, unless it is on this machine")
}

// Send implements Sender. It does every one, then reports.
func (w *Webhook) Send(ctx context.Context, all []ask.Proposal) error {
	client := &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	var errs []error
	for _, p := range all {
		if err := w.deliver(ctx, client, p); err != nil {
			errs = append(errs, fmt.Errorf("cannot tell the webhook of %s: %w", p.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (w *Webhook) deliver(ctx context.Context, client *http.Client, p ask.Proposal) error {
	body, err := json.Marshal(Notice{
		Event: "proposal", ID: p.ID, Kind: p.Kind, Title: view.Safe(p.Title, 300), AskedAt: p.AskedAt, ExpiresAt: p.ExpiresAt,
	})
	if err != nil {
		return err
	}
	wait := time.Second
	for attempt := 1; ; attempt++ {
		again, err := w.post(ctx, client, p.ID, body)
		if err == nil || !again || attempt == attempts {
			return err
		}
		hold := w.Pause
		if hold == nil {
			hold = pause
		}
		if perr := hold(ctx, wait); perr != nil {
			return err
		}
		wait *= 4
	}
}

// post makes one attempt, and says whether another may help.
func (w *Webhook) post(ctx context.Context, client *http.Client, id string, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	stamp := strconv.FormatInt(now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "bot-bottle/"+w.Version)
	req.Header.Set("X-Bot-Bottle-Delivery", id)
	req.Header.Set("X-Bot-Bottle-Timestamp", stamp)
	req.Header.Set("X-Bot-Bottle-Signature", "sha256="+Sign(w.Key, stamp, body))
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL itself may be a secret
		}
		return ctx.Err() == nil, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // what it says is not of interest
	_ = resp.Body.Close()
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return false, nil
	}
	return resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500, fmt.Errorf("it answers %s", resp.Status)
}

// Sign is the signature of a delivery in hexadecimal.
func Sign(key secret.String, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
