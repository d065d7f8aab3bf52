// Command grpcclient makes each sort of gRPC call to a test's server and prints what came: a unary
// one, a stream of answers, and a conversation in which each answer is awaited before the next
// question. The trailers of each must have come too.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// raw passes messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target string) error {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{})), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	question, answer, trailer := []byte("\x00 who \xff"), []byte(nil), metadata.MD{}
	if err := conn.Invoke(ctx, "/test.Test/Say", &question, &answer, grpc.Trailer(&trailer)); err != nil {
		return err
	}
	fmt.Printf("unary: %s, trailer %q\n", answer, trailer.Get("test-count"))
	listen, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Test/Tell")
	if err == nil {
		err = errors.Join(listen.SendMsg(&question), listen.CloseSend())
	}
	if err != nil {
		return err
	}
	n := 0
	for ; ; n++ {
		if err := listen.RecvMsg(&answer); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	fmt.Printf("stream: %d, trailer %q\n", n, listen.Trailer().Get("test-count"))
	return converse(ctx, conn)
}

func converse(ctx context.Context, conn *grpc.ClientConn) error {
	talk, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Test/Echo")
	if err != nil {
		return err
	}
	for i := range 3 {
		said, heard := []byte(fmt.Sprint("message ", i)), []byte(nil)
		if err := talk.SendMsg(&said); err != nil {
			return err
		}
		if err := talk.RecvMsg(&heard); err != nil {
			return err
		}
		if string(heard) != string(said) {
			return fmt.Errorf("said %q and heard %q", said, heard)
		}
	}
	var rest []byte
	if err := errors.Join(talk.CloseSend(), talk.RecvMsg(&rest)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the conversation ended with %v", err)
	}
	fmt.Printf("conversation: 3, trailer %q\n", talk.Trailer().Get("test-count"))
	return nil
}
