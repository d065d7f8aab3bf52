package sidecar_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/proxy"
)

// The environment that a backend starts the sidecar with reaches the HTTP/2 library: a process of
// its own says that it speaks WebSockets on streams (RFC 8441 §3). It is asked through SOCKS5.
func TestTheProcessSpeaksWebSocketsOverHTTP2(t *testing.T) {
	r, ready := configured(t)
	dialer, err := proxy.SOCKS5("tcp", r.tcp, nil, &net.Dialer{Timeout: deadline})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dialer.Dial("tcp", "example.com:443")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(deadline))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ready.CACertificate))
	conn := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: []string{"h2"}})
	framer := http2.NewFramer(conn, conn)
	_, err = io.WriteString(conn, http2.ClientPreface)
	if err := errors.Join(err, framer.WriteSettings()); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("the first frame is %v", frame)
	}
	if value, ok := settings.Value(http2.SettingEnableConnectProtocol); !ok || value != 1 {
		t.Errorf("extended CONNECT is not offered: %v", settings)
	}
	if _, err := dialer.Dial("tcp", "elsewhere.example:443"); err == nil {
		t.Error("SOCKS5 reaches what no route names")
	}
}
