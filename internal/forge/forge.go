// Package forge makes deploy keys for one run at a forge (GitHub, Gitea) and revokes them.
//
// Its one rule: the private key is made here, lives in memory only, and its public half is taken
// off the forge when the run ends, or said loudly to be still there.
package forge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// Repo is a repository at a forge.
type Repo struct {
	API   string `json:"api"` // its API's address, such as https://api.github.com
	Owner string `json:"owner"`
	Name  string `json:"name"`
}

// Key is a deploy key as its forge knows it.
type Key struct {
	Repo
	ID    int64  `json:"id"` // 0: it is not known whether the forge has made it
	Title string `json:"title"`
}

// limit bounds a call, and maxAnswer what a forge says.
const (
	limit     = 20 * time.Second
	maxAnswer = 1 << 20
)

// Client speaks with one forge as the holder of a token.
type Client struct {
	HTTP  *http.Client
	Token secret.String
}

// Add makes an ed25519 key and lets it read and write one repository. A key of the same title, of a
// run that could not revoke it, is revoked first. The private key is PEM in OpenSSH's form.
func (c Client) Add(ctx context.Context, r Repo, title string) (Key, secret.String, error) {
	if err := c.revokeTitled(ctx, r, title); err != nil {
		return Key{}, secret.String{}, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, secret.String{}, fmt.Errorf("cannot make a deploy key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, title)
	if err != nil {
		return Key{}, secret.String{}, fmt.Errorf("cannot make a deploy key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return Key{}, secret.String{}, fmt.Errorf("cannot make a deploy key: %w", err)
	}
	var made struct {
		ID int64 `json:"id"`
	}
	err = c.call(ctx, http.MethodPost, r.keys(), map[string]any{
		"title": title, "key": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), "read_only": false,
	}, &made)
	if err == nil && made.ID == 0 {
		err = errors.New("the forge does not say which it is")
	}
	if err != nil {
		return Key{}, secret.String{}, wrap(err, "cannot make a deploy key for %s/%s", r.Owner, r.Name)
	}
	return Key{Repo: r, ID: made.ID, Title: title}, secret.New(string(pem.EncodeToMemory(block))), nil
}

// Revoke takes a key off its forge, by its title where its ID is not known. One that is gone is
// success.
func (c Client) Revoke(ctx context.Context, k Key) error {
	if k.ID == 0 {
		if err := c.revokeTitled(ctx, k.Repo, k.Title); err != nil {
			return fmt.Errorf("a deploy key %q of %s/%s, if there is one, is NOT revoked: %w", k.Title, k.Owner, k.Name, err)
		}
		return nil
	}
	err := c.call(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", k.keys(), k.ID), nil, nil)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fault.WithHint(wrap(err, "the deploy key %q of %s/%s is NOT revoked", k.Title, k.Owner, k.Name),
			"remove it in the repository's settings, or run bot-bottle cleanup when the forge answers")
	}
	return nil
}

// perPage is how many keys one answer has, where the forge allows that many, and maxPages how many
// answers are read.
const (
	perPage  = 50
	maxPages = 100
)

// revokeTitled revokes the keys with a title, whichever page of the list they are on.
func (c Client) revokeTitled(ctx context.Context, r Repo, title string) error {
	var ours []Key
	seen := map[int64]bool{}
	for page := 1; page <= maxPages; page++ {
		var there []Key
		if err := c.call(ctx, http.MethodGet, fmt.Sprintf("%s?per_page=%d&limit=%d&page=%d", r.keys(), perPage, perPage, page), nil, &there); err != nil {
			return wrap(err, "cannot look at the deploy keys of %s/%s", r.Owner, r.Name)
		}
		fresh := false
		for _, k := range there {
			if fresh = fresh || !seen[k.ID]; k.Title == title && !seen[k.ID] && k.ID != 0 {
				ours = append(ours, Key{Repo: r, ID: k.ID, Title: k.Title})
			}
			seen[k.ID] = true
		}
		if !fresh {
			break // the last page is behind us, or the forge has no pages
		}
	}
	for _, k := range ours {
		if err := c.Revoke(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (r Repo) keys() string {
	return strings.TrimSuffix(r.API, "/") + "/repos/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Name) + "/keys"
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	said   string
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("the forge answers %d", r.status)
	if r.said != "" {
		text += ": " + audit.Escape(r.said, 300)
	}
	return text
}

// wrap gives a refusal the kind and the hint that a person needs.
func wrap(err error, format string, args ...any) error {
	wrapped := fault.New(fault.Unavailable, format+": %w", append(args, err)...)
	var refused *refusal
	if !errors.As(err, &refused) {
		return wrapped
	}
	switch refused.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.WithHint(wrapped, "the token of the key's token_ref must be allowed to administer the repository")
	case http.StatusNotFound:
		return fault.WithHint(wrapped, "check the repository's url and api_url; a token that may not see a repository gets the same answer")
	case http.StatusUnprocessableEntity, http.StatusConflict:
		return fault.WithHint(wrapped, "a key or a title like it is in use already: remove it in the repository's settings")
	}
	return wrapped
}

func (c Client) call(ctx context.Context, method, address string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+c.Token.Reveal())
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{
		Transport:     c.HTTP.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		var said struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(answer, &said) // what is no JSON says nothing
		return &refusal{resp.StatusCode, said.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("cannot read the forge's answer: %w", err)
	}
	return nil
}
