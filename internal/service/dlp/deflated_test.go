package dlp_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

const (
	fin        = 0x80
	rsv1       = 0x40
	textual    = 1
	binaryData = 2
	ping       = 9
)

// deflater compresses messages as a WebSocket's client does that keeps its context (RFC 7692).
type deflater struct {
	buf bytes.Buffer
	w   *flate.Writer
}

func (d *deflater) message(t *testing.T, s string) []byte {
	t.Helper()
	if d.w == nil {
		w, err := flate.NewWriter(&d.buf, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		d.w = w
	}
	d.buf.Reset()
	_, _ = io.WriteString(d.w, s)
	if err := d.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(bytes.TrimSuffix(d.buf.Bytes(), []byte{0, 0, 0xff, 0xff}))
}

// masked is a frame with any first byte and any length.
func masked(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, fin|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, fin|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, fin|127), uint64(n))
	}
	b = append(b, 1, 2, 3, 4)
	for i, c := range payload {
		b = append(b, c^[]byte{1, 2, 3, 4}[i&3])
	}
	return b
}

// received is a message as an upstream reads it.
type received struct {
	first byte
	text  string
}

// receive reads frames as an upstream does, with a context of its own.
func receive(t *testing.T, raw []byte) (all []received) {
	t.Helper()
	var payload, dict []byte
	var opcode byte
	for len(raw) > 0 {
		first, n, at := raw[0], int(raw[1]&0x7f), 2
		if raw[1]&fin == 0 {
			t.Fatal("a frame of a client without a mask")
		}
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(raw[2:])), 4
		case 127:
			n, at = int(binary.BigEndian.Uint64(raw[2:])), 10
		}
		mask, body := raw[at:at+4], bytes.Clone(raw[at+4:at+4+n])
		raw = raw[at+4+n:]
		for i := range body {
			body[i] ^= mask[i&3]
		}
		if first&8 != 0 {
			all = append(all, received{first, string(body)})
			continue
		}
		if first&0x0f != 0 {
			opcode, payload = first, nil
		}
		if payload = append(payload, body...); first&fin == 0 {
			continue
		}
		if opcode&rsv1 != 0 {
			r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(payload), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff})), dict)
			out, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			dict = append(dict, out...)
			dict = dict[max(0, len(dict)-32<<10):]
			payload = out
		}
		all = append(all, received{opcode | fin, string(payload)})
	}
	return all
}

// TestADeflatedMessageIsRedacted holds that an upstream, which has a context of its own, reads every
// message of a connection as it was looked at: also those that refer back to what was replaced.
func TestADeflatedMessageIsRedacted(t *testing.T) {
	value, e := fresh(0)
	for name, long := range map[string]string{"short": "", "of two bytes' length": strings.Repeat("a longer one ", 100), "of eight bytes' length": strings.Repeat("a long one ", 10000)} {
		t.Run(name, func(t *testing.T) {
			said := []string{long + "hello", long + `{"a":"` + value + `"}`, long + `{"b":"` + value + `"} again`, long + "and hello"}
			d, in := &deflater{}, []byte(nil)
			for i, s := range said {
				p := d.message(t, s)
				if i == 1 { // in three frames, with a ping between
					in = append(in, masked(rsv1|textual, p[:4])...)
					in = append(in, masked(fin|ping, []byte("ping"))...)
					in = append(append(in, masked(0, p[4:7])...), masked(fin, p[7:])...)
					continue
				}
				in = append(in, masked(fin|rsv1|textual, p)...)
			}
			redacted := 0
			out, err := io.ReadAll(e.NewFrames(bytes.NewReader(in), all(), dlp.Options{
				Verdict: func([]dlp.Finding) error { return errRefused }, Redact: true, Redacted: func(dlp.Finding) { redacted++ },
			}))
			if err != nil || redacted < 2 {
				t.Fatalf("%d were redacted, %v", redacted, err)
			}
			gone := strings.Map(func(r rune) rune {
				if r == '-' {
					return r
				}
				return 'X'
			}, value)
			want := []received{
				{fin | rsv1 | textual, said[0]}, {fin | ping, "ping"}, {fin | textual, strings.ReplaceAll(said[1], value, gone)},
				{fin | textual, strings.ReplaceAll(said[2], value, gone)}, {fin | textual, said[3]},
			}
			if got := receive(t, out); !slices.Equal(got, want) {
				t.Errorf("the upstream reads %.300q\nwant %.300q", got, want)
			}
		})
	}
}

func TestWhatCannotBeRedactedInADeflatedMessageIsRefused(t *testing.T) {
	value, e := fresh(0)
	for name, tc := range map[string]struct {
		opcode byte
		said   string
		may    bool
	}{
		"a binary message":       {binaryData, value, true},
		"a finding that may not": {textual, value, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &deflater{}
			in := masked(fin|rsv1|tc.opcode, d.message(t, tc.said))
			out, err := io.ReadAll(e.NewFrames(bytes.NewReader(in), all(), dlp.Options{
				Verdict: func([]dlp.Finding) error { return errRefused }, Redact: true, Redactable: func(dlp.Finding) bool { return tc.may },
			}))
			if !errors.Is(err, errRefused) || len(out) > 0 {
				t.Errorf("%d bytes left, %v", len(out), err)
			}
		})
	}
}
