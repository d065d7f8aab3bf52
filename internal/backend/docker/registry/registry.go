// Package registry finds the logins at image registries that the operator gave to docker.
//
// Its one rule: a login is looked up for the registry that asks, and for no other; so nothing is
// decoded and no helper of docker's is run that a build has no use for.
package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// hub is Docker's own registry, as docker's configuration names it.
const hub = "https://index.docker.io/v1/"

// hubs are the names that others have for it.
func hubs() []string { return []string{"docker.io", "index.docker.io", "registry-1.docker.io"} }

// Login is what a registry is told. Where the user is "" the secret is an identity token.
type Login struct {
	User   string
	Secret secret.String
}

// Logins are what docker's configuration holds.
type Logins struct {
	auths   map[string]json.RawMessage
	store   string            // the helper for all registries
	helpers map[string]string // the helper for one
}

// Read reads docker's config.json; where there is none there are no logins.
func Read(getenv func(string) string) (*Logins, error) {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(getenv("HOME"), ".docker")
	}
	file := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Logins{}, nil
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "cannot read docker's logins: %w", err)
	}
	var c struct {
		Auths   map[string]json.RawMessage `json:"auths"`
		Store   string                     `json:"credsStore"`
		Helpers map[string]string          `json:"credHelpers"`
	}
	if json.Unmarshal(raw, &c) != nil { // its words may hold a piece of a secret
		return nil, fault.New(fault.Invalid, "cannot read %s: it is not docker's JSON", file)
	}
	return &Logins{auths: c.Auths, store: c.Store, helpers: c.Helpers}, nil
}

// For finds the login at a registry, by the name that an engine has for it; false: there is none.
func (l *Logins) For(ctx context.Context, host string) (Login, bool, error) {
	server := host
	if slices.Contains(hubs(), host) {
		server = hub
	}
	helper, ok := l.helpers[server]
	if !ok {
		helper = l.store
	}
	if helper != "" {
		return ask(ctx, helper, server)
	}
	if raw, ok := l.auths[server]; ok {
		return decode(server, raw)
	}
	for name, raw := range l.auths {
		if hostOf(name) == hostOf(server) {
			return decode(name, raw)
		}
	}
	return Login{}, false, nil
}

// hostOf takes the host out of a name that may be a URL.
func hostOf(name string) string {
	_, rest, found := strings.Cut(name, "://")
	if !found {
		rest = name
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func decode(name string, raw json.RawMessage) (Login, bool, error) {
	var e struct {
		Auth     string `json:"auth"`
		User     string `json:"username"`
		Password string `json:"password"`
		Token    string `json:"identitytoken"`
	}
	bad := fault.New(fault.Invalid, "cannot read docker's login at %s: it has no form that docker writes", name)
	if json.Unmarshal(raw, &e) != nil {
		return Login{}, false, bad
	}
	if e.Token != "" {
		return Login{Secret: secret.New(e.Token)}, true, nil
	}
	if e.Auth != "" {
		plain, err := base64.StdEncoding.DecodeString(e.Auth)
		user, password, found := strings.Cut(string(plain), ":")
		if err != nil || !found {
			return Login{}, false, bad
		}
		e.User, e.Password = user, strings.Trim(password, "\x00")
	}
	return Login{User: e.User, Secret: secret.New(e.Password)}, e.Password != "", nil
}

// Within are the logins at the registries that the texts name, as the header of the classic builder
// carries them, and that at Docker's own. What cannot be found is left out; the last word has the
// registry.
func (l *Logins) Within(ctx context.Context, texts ...string) (header string, err error) {
	hosts := map[string]string{}
	for name := range l.auths {
		hosts[name] = hostOf(name)
	}
	for name := range l.helpers {
		hosts[name] = hostOf(name)
	}
	if l.store != "" { // it may know any: look for what may be a registry
		for _, text := range texts {
			for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n='\"", r) }) {
				if host, _, found := strings.Cut(word, "/"); found && strings.ContainsAny(host, ".:") && !strings.ContainsAny(host, "${}()") {
					hosts[host] = host
				}
			}
		}
	}
	hosts[hub] = hubs()[0]
	type auth struct {
		User     string `json:"username,omitempty"`
		Password string `json:"password,omitempty"`
		Token    string `json:"identitytoken,omitempty"`
		Server   string `json:"serveraddress"`
	}
	all := map[string]auth{}
	var problems []error
	for name, host := range hosts {
		named := name == hub || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, host) })
		if !named {
			continue
		}
		login, ok, err := l.For(ctx, host)
		switch {
		case err != nil:
			problems = append(problems, err)
		case ok && login.User == "":
			all[name] = auth{Token: login.Secret.Reveal(), Server: name}
		case ok:
			all[name] = auth{User: login.User, Password: login.Secret.Reveal(), Server: name}
		}
	}
	if len(all) == 0 {
		return "", errors.Join(problems...)
	}
	raw, err := json.Marshal(all) //nolint:gosec // they are what the header carries
	if err != nil {
		return "", fmt.Errorf("cannot pass on docker's logins: %w", err)
	}
	return base64.URLEncoding.EncodeToString(raw), errors.Join(problems...)
}
