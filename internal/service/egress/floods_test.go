package egress_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/audit"
	"github.com/bot-bottle/bot-bottle/internal/policy"
	"github.com/bot-bottle/bot-bottle/internal/service/egress"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// counted counts what is written before the other side has had enough.
type counted struct {
	net.Conn
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n += int64(n)
	return n, err
}

func headBlock(t *testing.T, fields ...string) []byte {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	return block.Bytes()
}

func request(t *testing.T, more ...string) []byte {
	t.Helper()
	return headBlock(t, append([]string{":method", "POST", ":scheme", "https", ":authority", "allowed.example", ":path", "/"}, more...)...)
}

// TestFloodsOfHTTP2AreBounded tries each known flood for as long as the connection lasts: it must
// be ended after a bounded amount, with a line in the audit log, and without taking memory.
func TestFloodsOfHTTP2AreBounded(t *testing.T) {
	const enough = 16 << 20 // bytes on the wire: far past every bound
	piece := bytes.Repeat([]byte("a"), 10<<10)
	for _, flood := range []struct {
		name string
		ours bool // the bound is ours, and its name in the audit log
		ends bool // it ends the connection
		send func(t *testing.T, f *http2.Framer, i uint32) error
	}{
		{"CONTINUATION with data", false, true, func(t *testing.T, f *http2.Framer, i uint32) error {
			t.Helper()
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request(t)})
			}
			return f.WriteContinuation(1, false, headBlock(t, "x-"+strconv.Itoa(int(i)), string(piece)))
		}},
		{"CONTINUATION without data", true, true, func(t *testing.T, f *http2.Framer, i uint32) error {
			t.Helper()
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request(t)})
			}
			return f.WriteContinuation(1, false, nil)
		}},
		{"empty DATA", true, true, func(t *testing.T, f *http2.Framer, i uint32) error {
			t.Helper()
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request(t), EndHeaders: true})
			}
			return f.WriteData(1, false, nil)
		}},
		{"rapid resets", true, true, func(t *testing.T, f *http2.Framer, i uint32) error {
			t.Helper()
			return errors.Join(
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: request(t), EndHeaders: true}),
				f.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		}},
		{"SETTINGS", true, true, func(_ *testing.T, f *http2.Framer, i uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535 + i%2})
		}},
		{"PING", true, true, func(_ *testing.T, f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{1}) }},
		{"PRIORITY", true, true, func(_ *testing.T, f *http2.Framer, i uint32) error {
			return f.WritePriority(2*(i%1000)+1, http2.PriorityParam{Weight: byte(i)})
		}},
		{"unknown frames", true, true, func(_ *testing.T, f *http2.Framer, _ uint32) error { return f.WriteRawFrame(0xfa, 0, 0, nil) }},
		{"streams beyond the limit", false, false, func(t *testing.T, f *http2.Framer, i uint32) error {
			t.Helper()
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: request(t), EndHeaders: true})
		}},
	} {
		t.Run(flood.name, func(t *testing.T) {
			up := newUpstream(t, true, true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			w := limitedTo(t, up.address(), egress.Limits{Streams: 20})
			secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example", "h2")
			if err != nil {
				t.Fatal(err)
			}
			before := heap()
			conn := &counted{Conn: secured}
			framer := http2.NewFramer(conn, nil)
			go func() { _, _ = io.Copy(io.Discard, secured) }()
			_, err = io.WriteString(conn, http2.ClientPreface)
			err = errors.Join(err, framer.WriteSettings())
			ended := false
			most := int64(enough)
			if !flood.ends { // each stream is refused by itself, so this goes on
				most = 1 << 20
			}
			for i := uint32(0); err == nil && conn.n < most; i++ {
				err = flood.send(t, framer, i)
				ended = err != nil
			}
			if !ended && flood.ends {
				t.Errorf("it goes on after %d bytes", conn.n)
			}
			if grown := heap() - before; grown > 32<<20 {
				t.Errorf("%d MiB more memory", grown>>20)
			}
			_ = secured.Close()
			e := awaitEvent(t, w, func(e audit.Event) bool { return e.Kind == "connect" && e.Verdict == "deny" })
			if flood.ours && e.Layer != policy.LayerLimit || e.Reason == "" {
				t.Errorf("the audit log has %+v", e)
			}
			if got := get(t, w.client(t, true), "https://allowed.example/"); got.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d", got.StatusCode)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Threat line: HPACK bombs. A table entry of 4 KB, named by one byte each time.
func TestABombOfHPACKIsRefused(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := limitedTo(t, up.address(), egress.Limits{})
	secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example", "h2")
	if err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "allowed.example"}, {Name: ":path", Value: "/"}} {
		_ = encoder.WriteField(f)
	}
	for range 10_000 {
		_ = encoder.WriteField(hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("b", 4000)})
	}
	if block.Len() > 16<<10 {
		t.Fatalf("it is no bomb: %d bytes", block.Len())
	}
	framer := http2.NewFramer(secured, secured)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(secured, http2.ClientPreface)
	if err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})); err != nil {
		t.Fatal(err)
	}
	status := ""
	for status == "" {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		if meta, ok := frame.(*http2.MetaHeadersFrame); ok {
			status = meta.PseudoValue("status")
		}
	}
	if status != "431" && status != "" || len(up.requests()) != 0 {
		t.Errorf("answered %q, the upstream saw %d", status, len(up.requests()))
	}
}

func TestLongHeadsAreRefusedAlikeOverHTTP2(t *testing.T) {
	up := newUpstream(t, true, true, echo)
	w := limitedTo(t, up.address(), egress.Limits{HeaderBytes: 8 << 10})
	for name, head := range map[string][]string{"long": {"X-A: " + strings.Repeat("a", 9<<10)}, "many": strings.Split(strings.TrimSuffix(strings.Repeat("X-A: b\n", 300), "\n"), "\n")} {
		for _, way := range ways() {
			got := way.send(t, w, attempt{connect: "allowed.example", header: head})
			if got.status != 431 || !strings.Contains(got.body, "egress.limits.header_bytes") {
				t.Errorf("%s by %s: answered %d %s", name, way.name, got.status, got.body)
			}
		}
	}
	awaitLimit(t, w, "header_bytes")
	if n := len(up.requests()); n != 0 {
		t.Errorf("the upstream saw %d", n)
	}
}

// Slow-loris on a stream: a head whose pieces never end.
func TestAHeadInPiecesMustEndInTime(t *testing.T) {
	w := limitedTo(t, newUpstream(t, true, true, echo).address(), egress.Limits{Head: 200 * time.Millisecond})
	secured, err := w.secure(w.dial(t, w.to(t, "allowed.example", 443)), "allowed.example", "h2")
	if err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(secured, nil)
	_, _ = io.WriteString(secured, http2.ClientPreface)
	if err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request(t)})); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, secured); close(ended) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		select {
		case <-ended:
			awaitLimit(t, w, "head")
			return
		case <-tick.C:
			_ = framer.WriteContinuation(1, false, nil)
		case <-deadline:
			t.Fatal("it goes on")
		}
	}
}

// Slow-loris from the other side: an upstream whose head comes byte by byte.
func TestASlowHeadOfAnUpstreamEndsInTime(t *testing.T) {
	addr := rawUpstream(t, func(conn net.Conn) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 300 {
			<-tick.C
			if _, err := conn.Write([]byte("H")); err != nil {
				return
			}
		}
	})
	w := limitedTo(t, addr, egress.Limits{ResponseHead: 200 * time.Millisecond})
	began := time.Now()
	got := sendPlain(t, w, attempt{connect: "allowed.example"})
	if got.status != http.StatusGatewayTimeout && got.status != http.StatusBadGateway || time.Since(began) > 3*time.Second {
		t.Errorf("answered %d after %s", got.status, time.Since(began))
	}
}
