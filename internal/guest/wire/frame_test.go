package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

func TestFrames(t *testing.T) {
	t.Run("what is sent is received", func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		want := bytes.Repeat([]byte("x"), MaxPayload)
		go func() { _ = NewConn(a).Send(KindStdout, want) }()
		kind, got, err := NewConn(b).Receive()
		if err != nil || kind != KindStdout || !bytes.Equal(got, want) {
			t.Errorf("%v %d bytes %v", kind, len(got), err)
		}
	})
	t.Run("too much is not sent", func(t *testing.T) {
		if err := NewConn(nil).Send(KindStdout, make([]byte, MaxPayload+1)); !errors.Is(err, ErrFrame) {
			t.Error(err)
		}
	})
	t.Run("half a stream is no stream", func(t *testing.T) {
		a, b := net.Pipe()
		go func() {
			_ = NewConn(a).Send(KindData, []byte("half"))
			_ = a.Close()
		}()
		if got, err := io.ReadAll(NewReader(NewConn(b))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q %v", got, err)
		}
	})
	t.Run("unknown keys and a second value are refused", func(t *testing.T) {
		for _, bad := range []string{`{"op":"exec","more":1}`, `{"op":"exec"} {}`, `{`, ``} {
			if err := Decode([]byte(bad), new(Request)); err == nil {
				t.Errorf("%s was accepted", bad)
			}
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{byte(KindStdin), 0, 0, 0, 1, 'x'})
	f.Add([]byte{byte(KindRequest), 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, in []byte) {
		kind, payload, err := ReadFrame(bytes.NewReader(in), nil)
		if err != nil {
			return
		}
		if kind == 0 || kind >= lastKind || len(payload) > MaxPayload || int(binary.BigEndian.Uint32(in[1:5])) != len(payload) {
			t.Errorf("kind %d with %d bytes", kind, len(payload))
		}
		_ = Decode(payload, new(Request))
		_, _, _ = DecodeSize(payload)
	})
}
