// Package standin plays the servers of the outside world, for tests and the demo: one listener on
// loopback with a certificate authority of its own, that answers for any name and remembers what
// it was asked.
//
// Its one rule: it needs no network and no account, and what it recorded is what arrived, whole
// up to a stated size.
package standin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// Config says what an Upstream answers. The zero value is a TLS server that answers every name
// with Echo.
type Config struct {
	// Hosts answer by the name in the request's Host, lower case and without its port.
	// A name that is not listed gets Default.
	Hosts map[string]http.Handler
	// Default answers for every other name; nil means Echo.
	Default http.Handler
	// Plain serves HTTP without TLS.
	Plain bool
	// HTTP1Only offers no HTTP/2.
	HTTP1Only bool
	// Listen is the address to listen on; "" means a free port of 127.0.0.1.
	Listen string
	// KeepBody is how many bytes of each body are remembered; 0 means 1 MiB.
	KeepBody int64
}

// Upstream is a running server. Its methods are safe for concurrent use.
type Upstream struct {
	*Recorder
	authority *authority
	listener  net.Listener
	server    *http.Server
	plain     bool
	served    chan error
}

// Start listens and serves until Close.
func Start(config Config) (*Upstream, error) {
	authority, err := newAuthority("Stand-in Upstream CA")
	if err != nil {
		return nil, fmt.Errorf("cannot make the certificate authority of a stand-in: %w", err)
	}
	address := config.Listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for a stand-in: %w", err)
	}
	keep := config.KeepBody
	if keep == 0 {
		keep = 1 << 20
	}
	recorder := newRecorder(keep)
	u := &Upstream{
		Recorder:  recorder,
		authority: authority,
		listener:  listener,
		plain:     config.Plain,
		served:    make(chan error, 1),
		server: &http.Server{
			Handler:           recorder.wrap(dispatch(config)),
			ReadHeaderTimeout: 30 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are part of the tests
		},
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!config.HTTP1Only && !config.Plain)
	u.server.Protocols = &protocols
	u.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: authority.forHello}
	go func() {
		if u.plain {
			u.served <- u.server.Serve(listener)
			return
		}
		u.served <- u.server.ServeTLS(listener, "", "")
	}()
	return u, nil
}

func dispatch(config Config) http.Handler {
	fallback := config.Default
	if fallback == nil {
		fallback = Echo()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := config.Hosts[hostOnly(r.Host)]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		fallback.ServeHTTP(w, r)
	})
}

func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// Addr is "127.0.0.1:PORT", what a route's connect_to takes.
func (u *Upstream) Addr() string { return u.listener.Addr().String() }

// Port is the port of Addr.
func (u *Upstream) Port() uint16 {
	address, ok := u.listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return address.AddrPort().Port()
}

// URL is the origin to reach it directly, such as "https://127.0.0.1:43210".
func (u *Upstream) URL() string {
	if u.plain {
		return "http://" + u.Addr()
	}
	return "https://" + u.Addr()
}

// CA is the certificate of its authority as PEM, what a route's upstream_ca takes.
func (u *Upstream) CA() string { return u.authority.pem }

// Roots is a pool that trusts its authority alone.
func (u *Upstream) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(u.authority.certificate)
	return pool
}

// Client returns a client that trusts the authority and dials the server whatever the name of
// the URL, as a route with connect_to does.
func (u *Upstream) Client() *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: u.Roots()},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, u.Addr())
		},
	}}
}

// Close ends all connections and returns once the server has stopped. A second call does nothing.
func (u *Upstream) Close() error {
	err := u.server.Close()
	if served, ok := <-u.served; ok {
		close(u.served)
		if !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	return err
}
