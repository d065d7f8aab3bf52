// Package control is the channel between the sidecar and the operator's own programs:
// requests and responses as lines of JSON on a stream socket.
//
// Its one rule: what is not understood to the last field is refused, and no value of a secret
// ever travels towards a client.
package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// MaxMessage bounds one line, in bytes with its newline. A policy with hundreds of routes and
// some certificates takes a tenth of it.
const MaxMessage = 4 << 20

// The methods. The owner is the one who holds the sidecar's first connection; an operator is any
// process of the same user on the status socket.
const (
	MethodConfigure = "configure"  // Setup → Ready; once, by the owner
	MethodRoutes    = "routes"     // nothing → Live; owner, operator
	MethodSetRoutes = "set-routes" // Live → Live; owner, operator
	MethodStats     = "stats"      // nothing → Stats; owner, operator
	MethodProposals = "proposals"  // ProposalsQuery → Proposals, at once or at the next change; owner, operator
	MethodProposal  = "proposal"   // ProposalRef → ask.Proposal; owner, operator
	MethodDecide    = "decide"     // ask.Decision → ask.Proposal, as decided; owner, operator
	MethodFiled     = "filed"      // ProposalRef → nothing: an approval for always is in the bottle's file; owner, operator
	MethodNote      = "note"       // audit.Event of kind lifecycle or note → nothing; owner
	MethodRenew     = "renew"      // Renewal → nothing; owner
	MethodStop      = "stop"       // nothing → nothing; owner, operator
)

// Request is one line from a client. IDs are the client's own and come back in the response.
type Request struct {
	ID     uint64          `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// Response is one line from the sidecar, with either a Result or an Error.
type Response struct {
	ID     uint64          `json:"id"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Problem        `json:"error,omitempty"`
}

// Problem is a fault as it travels.
type Problem struct {
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

func problem(err error) *Problem {
	return &Problem{Kind: fault.KindOf(err), Message: err.Error(), Hint: fault.HintOf(err)}
}

func (p *Problem) fault() error {
	return &fault.Error{Kind: p.Kind, Hint: p.Hint, Cause: errors.New(p.Message)}
}

// Decode reads exactly one JSON value into v and refuses fields that v does not have.
func Decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fault.New(fault.Invalid, "cannot read the message: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "cannot read the message: there is more after it")
	}
	return nil
}

// readLine returns the next line without its newline. The bytes are the caller's own, so that
// it can wipe them. An unfinished line is io.ErrUnexpectedEOF.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > MaxMessage {
			return nil, fault.New(fault.Invalid, "cannot read the message: it is longer than %d bytes", MaxMessage)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func writeLine(out io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot write the message: %w", err)
	}
	if len(line) >= MaxMessage {
		return fault.New(fault.Invalid, "cannot write the message: it is longer than %d bytes", MaxMessage)
	}
	_, err = out.Write(append(line, '\n'))
	clear(line)
	return err
}
