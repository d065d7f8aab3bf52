package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/bot-bottle/bot-bottle/internal/fault"
)

// Hash is one link of a chain. Its text is hexadecimal.
type Hash [sha256.Size]byte

// String implements fmt.Stringer.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text); err != nil || n != len(h) || len(text) != hex.EncodedLen(len(h)) {
		return fault.New(fault.Invalid, "cannot read the hash %q: it is not %d hexadecimal digits", text, hex.EncodedLen(len(h)))
	}
	return nil
}

var _ encoding.TextMarshaler = Hash{}

// Head is where a chain stands: how many lines there are, and the hash of the last one.
//
// The hash of a line is SHA-256 over the hash before it and the bytes of the line up to the comma
// in front of its "hash", which is its last field. A line without one, of a version that had none
// or torn by a crash, counts with all its bytes.
type Head struct {
	Count uint64 `json:"count"`
	Hash  Hash   `json:"hash"`
}

// Genesis is the head of an empty log. It depends on the run, so that the log of one does not
// pass for another's.
func Genesis(id string) Head {
	return Head{Hash: sha256.Sum256([]byte("bot-bottle audit log 1\x00" + id))}
}

// hashField begins the end of a chained line: the field, 64 digits, a quote and a brace.
const (
	hashField = `,"hash":"`
	hashEnd   = len(hashField) + 2*sha256.Size + len(`"}`)
)

// chain makes lines out of encoded events. It is not safe for concurrent use.
type chain struct {
	Head
	sum hash.Hash
}

func newChain(at Head) *chain { return &chain{Head: at, sum: sha256.New()} }

// link appends the line of an encoded event, a JSON object, to dst.
func (c *chain) link(dst, object []byte) []byte {
	start := len(dst)
	dst = append(dst, bytes.TrimSuffix(bytes.TrimSpace(object), []byte("}"))...)
	dst = append(dst, `,"n":`...)
	dst = strconv.AppendUint(dst, c.Count+1, 10)
	c.absorb(dst[start:])
	dst = append(dst, hashField...)
	dst = hex.AppendEncode(dst, c.Hash[:])
	return append(dst, "\"}\n"...)
}

// absorb makes the bytes of one line the next link.
func (c *chain) absorb(line []byte) {
	c.sum.Reset()
	c.sum.Write(c.Hash[:])
	c.sum.Write(line)
	c.sum.Sum(c.Hash[:0])
	c.Count++
}

// split takes a line apart into what its hash covers and the hash itself; ok is false where it
// has none.
func split(line []byte) (covered []byte, stated Hash, ok bool) {
	at := len(line) - hashEnd
	if at <= 0 || !bytes.HasPrefix(line[at:], []byte(hashField)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, stated, false
	}
	digits := line[at+len(hashField) : len(line)-len(`"}`)]
	if stated.UnmarshalText(digits) != nil {
		return nil, stated, false
	}
	return line[:at], stated, true
}
