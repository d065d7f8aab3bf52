package egress

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 says SHA-1; nothing rests on it
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"time"
)

// closeGrace is how long one side of a WebSocket may still speak after the other has ended.
const closeGrace = 5 * time.Second

// wantsWebSocket reports whether a request asks to become a WebSocket (RFC 6455 §4.1). Any
// other Upgrade is not passed on: the answer then comes as HTTP/1.1, which is a server's right.
func wantsWebSocket(line requestLine, h Header) bool {
	if line.method != "GET" || !h.token("Connection", "upgrade") || h.Count("Upgrade") != 1 {
		return false
	}
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") || h.Count("Sec-WebSocket-Key") != 1 || h.Get("Sec-WebSocket-Version") != "13" {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key"))
	return err == nil && len(key) == 16
}

// badHandshake says what is wrong with a 101, or "": a tunnel is opened only for a WebSocket.
func badHandshake(asked, answer Header) string {
	sum := sha1.Sum([]byte(asked.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2 asks for SHA-1, and it guards nothing
	switch {
	case !strings.EqualFold(answer.Get("Upgrade"), "websocket") || !answer.token("Connection", "upgrade"):
		return "the upstream changed to another protocol than WebSocket"
	case answer.Count("Sec-WebSocket-Accept") != 1 || answer.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return "the upstream's WebSocket handshake is wrong"
	case answer.Get("Sec-WebSocket-Extensions") != "" && asked.Get("Sec-WebSocket-Extensions") == "":
		return "the upstream chose a WebSocket extension that was not offered"
	}
	return ""
}

// relayWebSocket moves frames both ways until either side ends. Each direction passes the frame
// parser, so that nothing but WebSocket goes through, and then the Inspector.
func (x *exchange) relayWebSocket(ctx context.Context, f *front) (received int64, err error) {
	up := x.response.upgraded
	deflate := strings.Contains(strings.ToLower(x.response.header.Get("Sec-WebSocket-Extensions")), "permessage-deflate")
	var out io.Reader = &frameReader{r: f.br, masked: true, deflate: deflate}
	var in io.Reader = &frameReader{r: up.br, deflate: deflate}
	if x.inspector != nil {
		out = x.inspector.Messages(ctx, Outbound, out)
		in = x.inspector.Messages(ctx, Inbound, in)
	}
	f.base.tunnelled(x.s.limits.Stall)
	closeBoth := func() {
		_ = up.Close()
		_ = f.base.Close()
	}
	defer closeBoth()
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	// After a proper end of one direction the other may still say its goodbye.
	end := func(err error) {
		if err != nil {
			closeBoth()
			return
		}
		soon := x.s.deps.Now().Add(closeGrace)
		f.base.until(soon)
		_ = up.SetReadDeadline(soon)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := x.s.copyBody(up.Conn, &meter{out, &x.sent, &x.s.sent}, nil)
		end(err)
		ended <- err
	}()
	received, inErr := x.s.copyBody(f.conn, &meter{in, nil, &x.s.received}, nil)
	end(inErr)
	return received, firstBlocked(<-ended, inErr)
}

// firstBlocked prefers an Inspector's refusal to the errors that follow from it. A side that
// just went away is the ordinary end of a WebSocket.
func firstBlocked(errs ...error) error {
	for _, err := range errs {
		if blocked := (*Blocked)(nil); errors.As(err, &blocked) {
			return blocked
		}
	}
	for _, err := range errs {
		if errors.Is(err, errFrame) {
			return err
		}
	}
	return nil
}
