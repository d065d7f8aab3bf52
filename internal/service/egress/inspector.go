package egress

import (
	"context"
	"io"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// Inspectors makes one Inspector for each exchange. A nil Inspector looks at nothing.
type Inspectors interface {
	Inspect(Exchange) Inspector
}

// Exchange is what is known of a request before any of it is looked at.
type Exchange struct {
	Via, Proto string
	Route      *policy.Route
}

// Head is an outgoing request without its body. Request may change Path, Query and Header, in
// place; the changed request is decided on again.
type Head struct {
	Method         string
	Host           string
	Port           uint16
	Path, Query    string // canonical, still escaped
	HasQuery       bool
	Header         Header // as it will be sent, before a credential is put in
	Stripped       Header // what the agent sent and will not be sent, such as its Authorization
	Length         int64  // of the body; -1 unknown. Set it to -1 to change the body's length.
	TLS, WebSocket bool
}

// Direction is the way that a message of a WebSocket goes.
type Direction uint8

// The directions.
const (
	Outbound Direction = iota // to the upstream
	Inbound                   // to the agent
)

// Inspector looks at one exchange as it streams. Its methods are called in the order below; the
// two bodies may be read at the same time.
//
// A body is wrapped: what the returned reader yields is sent, so a reader may hold bytes back
// until they are cleared, may replace them, and ends the exchange with its error. It may be read
// in any chunking, and must yield what it has cleared without waiting to fill p. The text of a
// *Blocked is shown to the agent.
type Inspector interface {
	// Request sees the head before any byte leaves. It may wait for an operator, within ctx.
	Request(ctx context.Context, head *Head) error
	RequestBody(ctx context.Context, body io.Reader) io.Reader
	Response(ctx context.Context, status int, header Header) error
	// ResponseBody watches an answer: what it yields has the length that the answer's head says, or
	// ends with an error.
	ResponseBody(ctx context.Context, body io.Reader) io.Reader
	// Messages wraps one direction of a WebSocket: its frames, as RFC 6455 §5.2 lays them out.
	Messages(ctx context.Context, to Direction, frames io.Reader) io.Reader
	// Close is called once, when the exchange is over, however it ended.
	Close()
}

// Blocked is an Inspector's refusal.
type Blocked struct {
	Layer      string // "dlp" where empty
	Reason     string
	Rule       string // the detector, as the audit log names it
	Guidance   string
	NextSteps  []string
	Approvable bool
	// Private is set where the head holds what was found: the log shows neither method, path nor
	// what was chosen of the host.
	Private bool
}

func (b *Blocked) Error() string { return b.Reason }
