package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Handler answers one request. The params are wiped after it returns; the result is marshalled.
// ctx ends with the connection.
type Handler func(ctx context.Context, params []byte) (any, error)

// last is what a handler returns for the last response of a connection.
type last struct {
	result any
	cause  error
}

func (l *last) Error() string { return "the connection ends here" }

// Last makes Serve send the result, or the cause where there is one, and then end the connection.
func Last(result any, cause error) error { return &last{result, cause} }

// Serve answers the requests of one connection, one after the other, with the handlers of those
// methods that this client may call, and closes it. It returns nil when the client ends the
// connection or ctx ends, an error when the client breaks the protocol, and the cause of Last.
func Serve(ctx context.Context, conn net.Conn, methods map[string]Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	lines := make(chan []byte)
	go read(ctx, cancel, conn, lines)
	for line := range lines {
		response, end := answer(ctx, line, methods)
		clear(line)
		if err := writeLine(conn, response); err != nil && ctx.Err() == nil {
			return err
		}
		if end != nil {
			return end.cause
		}
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// read brings lines until the connection ends, and then ends ctx: a handler that waits must not
// outlive the one it works for. A line that is too long ends it, too.
func read(ctx context.Context, cancel context.CancelCauseFunc, conn net.Conn, lines chan<- []byte) {
	defer close(lines)
	in := bufio.NewReaderSize(conn, 32<<10)
	for {
		line, err := readLine(in)
		if err != nil {
			cancel(err)
			return
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return
		}
	}
}

func answer(ctx context.Context, line []byte, methods map[string]Handler) (Response, *last) {
	var request Request
	if err := Decode(line, &request); err != nil {
		return Response{Error: problem(err)}, nil
	}
	defer clear(request.Params)
	response := Response{ID: request.ID}
	handler, ok := methods[request.Method]
	if !ok {
		response.Error = problem(fault.New(fault.Unsupported, "cannot call %q: this client has no such method", request.Method))
		return response, nil
	}
	result, err := handler(ctx, request.Params)
	var end *last
	if errors.As(err, &end) {
		result, err = end.result, end.cause
	}
	if err == nil {
		response.Result, err = json.Marshal(result)
	}
	if err != nil {
		response.Error = problem(err)
	}
	return response, end
}
