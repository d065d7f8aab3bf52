package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loaded is what a client measured.
type loaded struct {
	Times   []time.Duration `json:"times"` // of each request, or the delay of each event
	First   time.Duration   `json:"first"` // of an event stream: from request to first event
	All     int             `json:"all"`   // requests, warm-up included
	Seconds float64         `json:"seconds"`
	Bytes   int64           `json:"bytes"`
}

// client is the program that makes the traffic; the same one directly, behind a proxy, and inside
// a bottle.
type client struct {
	http  *http.Client
	url   string
	many  int
	round time.Duration
	bytes int64
}

func load(args []string, out io.Writer) error {
	var c client
	var mode, proto, proxy, roots string
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&mode, "mode", "small", "small, fresh, down, up or sse")
	f.StringVar(&c.url, "url", "", "the upstream")
	f.StringVar(&proto, "proto", "h1", "h1 or h2")
	f.StringVar(&proxy, "proxy", "", "an explicit proxy")
	f.StringVar(&roots, "roots", "", "a file of trusted certificates; default: the system's")
	f.IntVar(&c.many, "clients", 1, "at the same time")
	f.DurationVar(&c.round, "round", time.Second, "how long")
	f.Int64Var(&c.bytes, "bytes", 64<<20, "of a large body")
	if err := f.Parse(args); err != nil {
		return err
	}
	transport, err := c.transport(proto, proxy, roots)
	if err != nil {
		return err
	}
	transport.DisableKeepAlives = mode == "fresh"
	defer transport.CloseIdleConnections()
	c.http = &http.Client{Transport: transport}
	do := map[string]func() (loaded, error){"small": c.small, "fresh": c.small, "down": c.down, "up": c.up, "sse": c.events}[mode]
	if do == nil {
		return fmt.Errorf("there is no mode %q", mode)
	}
	result, err := do()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

func (c *client) transport(proto, proxy, roots string) (*http.Transport, error) {
	t := &http.Transport{MaxIdleConnsPerHost: c.many, DisableCompression: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	var protocols http.Protocols
	protocols.SetHTTP1(proto == "h1")
	protocols.SetHTTP2(proto == "h2")
	t.Protocols = &protocols
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return nil, err
		}
		t.Proxy = http.ProxyURL(u)
	}
	if roots != "" {
		raw, err := os.ReadFile(roots)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		t.TLSClientConfig.RootCAs.AppendCertsFromPEM(raw)
	}
	return t, nil
}

// get reads one answer whole and returns its size.
func (c *client) get(ctx context.Context, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return 0, err
	}
	return c.do(req)
}

func (c *client) do(req *http.Request) (int64, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", req.URL, res.Status)
	}
	return n, err
}

// small makes requests one after the other on each client, after a warm-up.
func (c *client) small() (loaded, error) {
	warm := c.round / 4
	var mu sync.Mutex
	var out loaded
	var failed error
	var all sync.WaitGroup
	began := time.Now()
	for range c.many {
		all.Go(func() {
			var times []time.Duration
			count, last := 0, time.Now()
			var err error
			for err == nil && last.Sub(began) < warm+c.round {
				var n int64
				if n, err = c.get(context.Background(), "/small"); err == nil && n != 1<<10 {
					err = fmt.Errorf("want 1024 bytes, got %d", n)
				}
				now := time.Now()
				if count++; last.Sub(began) >= warm {
					times = append(times, now.Sub(last))
				}
				last = now
			}
			mu.Lock()
			defer mu.Unlock()
			out.Times, out.All = append(out.Times, times...), out.All+count
			if err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	out.Seconds = (time.Since(began) - warm).Seconds()
	return out, failed
}

func (c *client) down() (loaded, error) {
	if _, err := c.get(context.Background(), "/small"); err != nil {
		return loaded{}, err
	}
	began := time.Now()
	n, err := c.get(context.Background(), "/bytes?n="+strconv.FormatInt(c.bytes, 10))
	if err == nil && n != c.bytes {
		err = fmt.Errorf("want %d bytes, got %d", c.bytes, n)
	}
	return loaded{Seconds: time.Since(began).Seconds(), Bytes: n}, err
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (c *client) up() (loaded, error) {
	if _, err := c.get(context.Background(), "/small"); err != nil {
		return loaded{}, err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url+"/sink", io.LimitReader(zeros{}, c.bytes))
	if err != nil {
		return loaded{}, err
	}
	req.ContentLength = c.bytes
	began := time.Now()
	_, err = c.do(req)
	return loaded{Seconds: time.Since(began).Seconds(), Bytes: c.bytes}, err
}

// events measures how old each event is when it arrives.
func (c *client) events() (loaded, error) {
	var out loaded
	if _, err := c.get(context.Background(), "/small"); err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.url+"/sse?n=200&gap=2ms", nil)
	if err != nil {
		return out, err
	}
	began := monotonic()
	res, err := c.http.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		now := monotonic()
		written, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return out, err
		}
		if out.First == 0 {
			out.First = now - began
		}
		out.Times = append(out.Times, now-time.Duration(written))
	}
	return out, lines.Err()
}
