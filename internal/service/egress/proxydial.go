package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// openThrough connects to host:port through the company's proxy, by CONNECT for every scheme.
// The proxy resolves the name, so the guard sees only hosts that are addresses themselves.
// An error never repeats the proxy's URL, which may hold credentials.
func (s *Server) openThrough(ctx context.Context, ref string, route *policy.Route, host string, port uint16) (net.Conn, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := policy.AddressAllowed(addr, route, s.dialer.own); err != nil {
			return nil, &addressError{err}
		}
	}
	proxy, err := s.proxyURL(ref)
	if err != nil {
		return nil, &causeError{"proxy", err}
	}
	conn, err := s.dialProxy(ctx, proxy)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	tunnel, err := connectThrough(conn, proxy, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		_ = conn.Close()
		return nil, &causeError{class(err, "proxy"), fmt.Errorf("cannot reach %s through upstream_proxy: %w", host, err)}
	}
	return tunnel, nil
}

func (s *Server) proxyURL(ref string) (*url.URL, error) {
	text, ok := strings.CutPrefix(ref, "literal:")
	if !ok {
		value, err := s.deps.Credentials.Token(ref)
		if err != nil {
			return nil, errors.New("cannot resolve upstream_proxy")
		}
		text = value.Reveal()
	}
	proxy, err := url.Parse(text)
	if err != nil || proxy.Hostname() == "" || proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, errors.New("cannot use upstream_proxy: want http://host:port or https://host:port")
	}
	return proxy, nil
}

func (s *Server) dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := uint16(80)
	if proxy.Scheme == "https" {
		port = 443
	}
	if proxy.Port() != "" {
		n, err := strconv.ParseUint(proxy.Port(), 10, 16)
		if err != nil {
			return nil, &causeError{"proxy", errors.New("cannot use upstream_proxy: its port is no number")}
		}
		port = uint16(n)
	}
	conn, err := s.dialer.openChecked(ctx, proxy.Hostname(), port, neverMetadata)
	if err != nil || proxy.Scheme == "http" {
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), RootCAs: s.deps.Roots, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &causeError{class(err, "proxy"), fmt.Errorf("cannot open TLS to upstream_proxy: %w", err)}
	}
	return secured, nil
}

func connectThrough(conn net.Conn, proxy *url.URL, target string) (net.Conn, error) {
	var b strings.Builder
	b.WriteString("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n")
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		b.WriteString("Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password)) + "\r\n")
	}
	b.WriteString("\r\n")
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(conn, 4<<10)
	raw, err := readHead(br, nil, 16<<10, nil)
	if err != nil {
		return nil, err
	}
	start, _, err := parseHead(string(raw))
	if err != nil {
		return nil, err
	}
	status, _, _, err := parseStatusLine(start)
	if err != nil {
		return nil, err
	}
	if status < 200 || status > 299 {
		return nil, fmt.Errorf("the proxy answered %d", status)
	}
	return &replayConn{Conn: conn, br: br}, nil
}

// replayConn reads what was buffered first.
type replayConn struct {
	net.Conn
	br *bufio.Reader
}

func (c *replayConn) Read(p []byte) (int, error) { return c.br.Read(p) }

// CloseWrite ends one direction, as the connection below does it.
func (c *replayConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return net.ErrClosed
	}
	return half.CloseWrite()
}
