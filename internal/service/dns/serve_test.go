package dns_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// serve runs a resolver on fresh sockets of loopback until the test ends.
func serve(t *testing.T) (udp, tcp string, rec *record) {
	t.Helper()
	rec = &record{now: time.Now()}
	d := deps(rec)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{}) // any address: the answer must come from the one asked
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Packets, d.Streams = []*net.UDPConn{conn}, []net.Listener{listener}
	s := newServer(t, config(), d)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run says %v", err)
		}
	})
	<-ready
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	return port, listener.Addr().String(), rec
}

func TestResolverOfTheStandardLibraryUnderstands(t *testing.T) {
	port, tcp, _ := serve(t)
	for _, row := range []struct{ network, server string }{{"udp", "127.0.0.1:" + port}, {"tcp", tcp}} {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, row.network, row.server)
		}}
		addrs, err := r.LookupHost(t.Context(), "api.example.org.")
		slices.Sort(addrs)
		if err != nil || !slices.Equal(addrs, []string{"198.18.1.0", "fdb0:771e::100"}) {
			t.Errorf("%s: got %v, %v", row.network, addrs, err)
		}
		_, err = r.LookupHost(t.Context(), "evil.example.")
		if dnsErr, ok := err.(*net.DNSError); !ok || !dnsErr.IsNotFound {
			t.Errorf("%s: a denied name gives %v", row.network, err)
		}
		names, err := r.LookupAddr(t.Context(), "198.18.1.0")
		if err != nil || !slices.Equal(names, []string{"api.example.org."}) {
			t.Errorf("%s: reverse gives %v, %v", row.network, names, err)
		}
	}
}

func TestAnswerComesFromTheAddressThatWasAsked(t *testing.T) {
	port, _, _ := serve(t)
	for _, server := range []string{"127.0.0.1", "127.3.2.1"} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		to, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(server, port))
		if err != nil {
			t.Fatal(err)
		}
		query := question(t, "api.example.org.", dnsmessage.TypeA, dnsmessage.ClassINET, nil)
		if _, err := conn.WriteToUDP(query, to); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 512)
		_, from, err := conn.ReadFromUDP(buf)
		if err != nil || !from.IP.Equal(to.IP) {
			t.Errorf("asked %s, answered from %v, %v", server, from, err)
		}
	}
}

func TestStreamKeepsSeveralQuestionsAndEndsOnABadOne(t *testing.T) {
	_, addr, _ := serve(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	query := question(t, "api.example.org.", dnsmessage.TypeA, dnsmessage.ClassINET, nil)
	frame := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	for range 3 {
		for _, b := range frame { // one byte at a time is a frame, too
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatal(err)
		}
		response := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, response); err != nil {
			t.Fatal(err)
		}
		if got := said(unpack(t, response)); got != "198.18.1.0" {
			t.Errorf("got %s", got)
		}
	}
	if _, err := conn.Write([]byte{0xff, 0xff, 0}); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != 0 || (err != nil && !isReset(err)) {
		t.Errorf("after a frame of 64 KB: %d bytes, %v", n, err)
	}
}

func isReset(err error) bool {
	_, ok := err.(*net.OpError)
	return ok && !err.(*net.OpError).Timeout()
}

func TestRunEndsWhenASocketFails(t *testing.T) {
	rec := &record{}
	d := deps(rec)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	d.Packets = []*net.UDPConn{conn}
	s := newServer(t, config(), d)
	if err := s.Run(t.Context(), func() { conn.Close() }); err == nil {
		t.Error("Run goes on without its socket")
	}
}

func BenchmarkAnswer(b *testing.B) {
	s, _ := fixture(b)
	query := question(b, "api.example.org.", dnsmessage.TypeA, dnsmessage.ClassINET, nil)
	for b.Loop() {
		s.Answer(query, "udp")
	}
}
