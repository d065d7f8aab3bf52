// Command gows sends one message over a WebSocket and prints what comes back.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coder/websocket"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, os.Args[1], &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, []byte("the upstream says hello"))
	}
	if err == nil {
		var message []byte
		if _, message, err = conn.Read(ctx); err == nil {
			fmt.Println(string(message))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
