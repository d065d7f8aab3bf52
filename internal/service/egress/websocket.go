package egress

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 says SHA-1; nothing rests on it
	"encoding/base64"
	"errors"
	"io"
	"slices"
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

// acceptKey is the answer to a Sec-WebSocket-Key (RFC 6455 §4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // the RFC asks for SHA-1, and it guards nothing
	return base64.StdEncoding.EncodeToString(sum[:])
}

// badHandshake says what is wrong with an upstream's agreement to a WebSocket, or "": a tunnel is
// opened only for one. Over HTTP/2 there is neither a key nor an Upgrade (RFC 8441 §5).
func badHandshake(asked, answer Header, h2 bool) string {
	switch {
	case !h2 && (!strings.EqualFold(answer.Get("Upgrade"), "websocket") || !answer.token("Connection", "upgrade")):
		return "the upstream changed to another protocol than WebSocket"
	case !h2 && (answer.Count("Sec-WebSocket-Accept") != 1 || answer.Get("Sec-WebSocket-Accept") != acceptKey(asked.Get("Sec-WebSocket-Key"))):
		return "the upstream's WebSocket handshake is wrong"
	}
	for _, extension := range splitExtensions(answer) {
		if extensionName(extension) != deflateExtension {
			return "the upstream chose a WebSocket extension that was not offered"
		}
	}
	if answer.Get(extensionsField) != "" && len(onlyDeflate(asked).Values(extensionsField)) == 0 {
		return "the upstream chose a WebSocket extension that was not offered"
	}
	return ""
}

// The one extension whose frames are understood (RFC 7692).
const (
	extensionsField  = "Sec-WebSocket-Extensions"
	deflateExtension = "permessage-deflate"
)

func splitExtensions(h Header) []string {
	var all []string
	for _, value := range h.Values(extensionsField) {
		for one := range strings.SplitSeq(value, ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, one)
			}
		}
	}
	return all
}

func extensionName(extension string) string {
	name, _, _ := strings.Cut(extension, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// onlyDeflate leaves out of an offer the extensions whose frames nobody here could read.
func onlyDeflate(h Header) Header {
	var offered []string
	for _, extension := range splitExtensions(h) {
		if extensionName(extension) == deflateExtension {
			offered = append(offered, extension)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(h), func(f Field) bool { return strings.EqualFold(f.Name, extensionsField) })
	if len(offered) > 0 {
		kept = append(kept, Field{extensionsField, strings.Join(offered, ", ")})
	}
	return kept
}

// peer is one side of a WebSocket, whatever carries it.
type peer struct {
	io.Reader
	io.Writer
	until func(time.Time) // bounds what it may still say
	close func()          // ends it at once, also for whoever waits for it
	done  func()          // says that nothing more is written to it; may be nil
	h2    bool
}

// relayWebSocket moves frames both ways until either side ends. Each direction passes the frame
// parser, so that nothing but WebSocket goes through, and then the Inspector.
func (x *exchange) relayWebSocket(ctx context.Context, agent *peer) (received int64, err error) {
	up := x.response.upgraded
	closeBoth := func() {
		up.close()
		agent.close()
	}
	defer up.close()
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	quiet := watchSilence(x.s.deps.Now, x.s.limits.Stall, closeBoth)
	defer quiet.stop()
	deflate := len(splitExtensions(x.response.header)) > 0
	var out io.Reader = &frameReader{r: quiet.hearing(agent), masked: true, deflate: deflate}
	var in io.Reader = &frameReader{r: quiet.hearing(up), deflate: deflate}
	if x.inspector != nil {
		out = x.inspector.Messages(ctx, Outbound, out)
		in = x.inspector.Messages(ctx, Inbound, in)
	}
	// After a proper end of one direction the other may still say its goodbye.
	end := func(err error) {
		if err != nil {
			closeBoth()
			return
		}
		soon := x.s.deps.Now().Add(closeGrace)
		agent.until(soon)
		up.until(soon)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := x.s.copyBody(up, &meter{out, &x.sent, &x.s.sent}, nil)
		if err == nil && up.done != nil {
			up.done()
		}
		end(err)
		ended <- err
	}()
	received, inErr := x.s.copyBody(agent, &meter{in, nil, &x.s.received}, nil)
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
