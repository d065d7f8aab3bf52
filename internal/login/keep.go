package login

import (
	"context"
	"os"
	"time"
)

// Times of a Keeper.
const (
	lookEvery  = 500 * time.Millisecond
	retryAfter = 30 * time.Second
)

// Keeper follows one login for as long as a bottle runs.
type Keeper struct {
	Format Format
	File   string
	Way    Way
	// Changed is called with each new login of the same account. After an error it is called again.
	Changed func(context.Context, Login) error
	// Say tells a person what keeps a login from being used.
	Say func(format string, args ...any)
}

// Keep returns when ctx ends. It calls Changed when the file has another token than now, whoever
// wrote it, and renews the token itself when it is about to end.
func (k Keeper) Keep(ctx context.Context, now Login) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var seen os.FileInfo
	var notBefore time.Time
	told := ""
	tell := func(err error) {
		if text := err.Error(); text != told {
			told = text
			k.Say("the login of %s: %v", k.Format.Name, err)
		}
	}
	for {
		var next Login
		var err error
		switch info, serr := os.Stat(k.File); {
		case serr == nil && (seen == nil || !same(seen, info)):
			next, err = k.Format.Read(k.File)
			seen = info
		case now.Due(time.Now()) && time.Now().After(notBefore):
			notBefore = time.Now().Add(retryAfter)
			next, err = k.Format.Renew(ctx, k.File, now.Access, k.Way)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			tell(err)
		case next.Access.Empty() || next.Access.Reveal() == now.Access.Reveal():
		case next.Account != now.Account:
			k.Say("the login of %s on this host is another account's now; the bottle keeps the one it started with", k.Format.Name)
			now.Renewable = false
		default:
			if err := k.Changed(ctx, next); err != nil {
				tell(err)
				seen = nil
				break
			}
			now, told, notBefore = next, "", time.Time{}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
