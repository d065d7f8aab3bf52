package egress

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// FuzzRequestHead holds the HTTP/1 front to what it promises: what it takes has one meaning, and
// what it writes is what it took.
func FuzzRequestHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"))
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"))
	f.Add([]byte("GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		br := bufio.NewReaderSize(bytes.NewReader(raw), 64)
		head, err := readHead(br, nil, 8<<10, nil)
		if err != nil {
			return
		}
		start, fields, err := parseHead(string(head))
		if err != nil {
			return
		}
		line, err := parseRequestLine(start)
		if err != nil {
			return
		}
		var again bytes.Buffer
		bw := bufio.NewWriter(&again)
		_, _ = bw.WriteString(start + "\r\n")
		writeFields(bw, fields)
		_, _ = bw.WriteString("\r\n")
		_ = bw.Flush()
		if bytes.Count(again.Bytes(), []byte("\n")) != len(fields)+2 || strings.ContainsAny(line.target, "\r\n \x00") {
			t.Fatalf("%q is written as %q", head, again.Bytes())
		}
		length, none, err := bodyLength(fields, line.minor)
		if err != nil || none {
			return
		}
		both := fields.Count("Content-Length") + fields.Count("Transfer-Encoding")
		if both != 1 || length < -1 {
			t.Fatalf("%q has %d framing fields and length %d", head, both, length)
		}
		if length < 0 {
			body := &chunkedBody{br: br, strict: true, limit: 8 << 10}
			got, _ := io.ReadAll(body)
			if len(got) > len(raw) {
				t.Fatalf("%d bytes came out of %d", len(got), len(raw))
			}
		}
	})
}

func FuzzClientHello(f *testing.F) {
	f.Add(helloFor(f, "allowed.example"))
	f.Add([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		hello, err := parseHello(raw)
		if err == nil && !helloComplete(raw) {
			t.Fatalf("an incomplete ClientHello was parsed: %+v", hello)
		}
	})
}

// helloFor captures what crypto/tls sends.
func helloFor(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: name, NextProtos: []string{"h2"}}).Handshake()
	}()
	conn := &agentConn{Conn: server}
	raw, err := conn.peek(maxHello, helloComplete)
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	_ = client.Close()
	<-done
	return raw
}

func TestClientHelloIsReadWholeAndStrictly(t *testing.T) {
	raw := helloFor(t, "allowed.example")
	hello, err := parseHello(raw)
	if err != nil || hello.serverName != "allowed.example" || hello.ech {
		t.Fatal(hello, err)
	}
	for i := range raw {
		if helloComplete(raw[:i]) {
			t.Fatalf("%d of %d bytes are taken for the whole", i, len(raw))
		}
	}
	// The same message in two records.
	split := append([]byte{22, 3, 1, 0, 10}, raw[5:15]...)
	rest := raw[15:]
	split = append(append(split, 22, 3, 1, byte(len(rest)>>8), byte(len(rest))), rest...)
	if hello, err := parseHello(split); err != nil || hello.serverName != "allowed.example" {
		t.Error(hello, err)
	}
	ech := withExtension(raw, 0xfe0d, []byte{0})
	if hello, err := parseHello(ech); err != nil || !hello.ech {
		t.Error("ECH is not seen", hello, err)
	}
	second := withExtension(raw, 0, []byte{0, 17, 0, 0, 14, 'e', 'v', 'i', 'l', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'x'})
	if hello, err := parseHello(second); err == nil {
		t.Error("two server_name extensions were taken", hello)
	}
}

// withExtension appends an extension to a ClientHello in one record.
func withExtension(raw []byte, kind uint16, body []byte) []byte {
	ext := append([]byte{byte(kind >> 8), byte(kind), byte(len(body) >> 8), byte(len(body))}, body...)
	out := append(append([]byte(nil), raw...), ext...)
	grow := func(at, width int) {
		n := 0
		for i := range width {
			n = n<<8 | int(out[at+i])
		}
		n += len(ext)
		for i := width - 1; i >= 0; i-- {
			out[at+i] = byte(n)
			n >>= 8
		}
	}
	grow(3, 2)
	grow(6, 3)
	at := 9 + 2 + 32
	at += 1 + int(out[at])
	at += 2 + int(out[at])<<8 + int(out[at+1])
	at += 1 + int(out[at])
	grow(at, 2)
	return out
}

func TestFramesAreChecked(t *testing.T) {
	mask := []byte{1, 2, 3, 4}
	frame := func(first, length byte, payload string) []byte {
		return append(append([]byte{first, length | 0x80}, mask...), payload...)
	}
	for name, c := range map[string]struct {
		raw     []byte
		deflate bool
		ok      bool
	}{
		"a message":                   {frame(0x81, 2, "ab"), false, true},
		"two fragments":               {append(frame(0x01, 1, "a"), frame(0x80, 1, "b")...), false, true},
		"a ping within a message":     {append(append(frame(0x01, 1, "a"), frame(0x89, 0, "")...), frame(0x80, 1, "b")...), false, true},
		"deflate that was agreed":     {frame(0xc1, 1, "a"), true, true},
		"deflate that was not agreed": {frame(0xc1, 1, "a"), false, false},
		"a reserved bit":              {frame(0xa1, 1, "a"), true, false},
		"a reserved opcode":           {frame(0x83, 1, "a"), false, false},
		"a continuation of nothing":   {frame(0x80, 1, "a"), false, false},
		"a message within a message":  {append(frame(0x01, 1, "a"), frame(0x81, 1, "b")...), false, false},
		"a fragmented ping":           {frame(0x09, 0, ""), false, false},
		"a ping that is too long":     {append([]byte{0x89, 0xfe, 0, 126}, make([]byte, 130)...), false, false},
		"no mask":                     {[]byte{0x81, 1, 'a'}, false, false},
		"a length of 2^63":            {append([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, mask...), false, false},
		"bytes after close":           {append(frame(0x88, 0, ""), "GET / HTTP/1.1"...), false, true},
	} {
		got, err := io.ReadAll(&frameReader{r: bytes.NewReader(c.raw), masked: true, deflate: c.deflate})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(got), "GET") {
			t.Errorf("%s: %q passed", name, got)
		}
	}
}

func TestOnlyHTTP1BeginsAPlainConnection(t *testing.T) {
	for raw, want := range map[string][2]bool{
		"GET /":                 {true, false},
		"PRI * HTTP/1.1":        {true, false},
		"PRI":                   {false, true},
		"PRI * HTTP/2":          {false, true},
		h2Preface:               {false, false},
		"SSH-2.0-x\r\n y":       {false, false},
		"\x00\x00\x00\x08":      {false, false},
		" GET":                  {false, false},
		strings.Repeat("A", 40): {false, false},
	} {
		if ok, undecided := requestBegins([]byte(raw)); ok != want[0] || undecided != want[1] {
			t.Errorf("%q: %v %v", raw, ok, undecided)
		}
	}
}

func TestAFoldedLineIsCalledOne(t *testing.T) {
	if _, _, err := parseHead("GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n"); !errors.Is(err, errFold) {
		t.Error(err)
	}
}
