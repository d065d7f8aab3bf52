package egress

import (
	"encoding/binary"
	"errors"
)

// maxHello bounds a ClientHello with its record headers; post-quantum ones take 2 KiB.
const maxHello = 32 << 10

var errHello = errors.New("the TLS ClientHello is malformed")

// clientHello is what a verdict needs of the first message of TLS (RFC 8446 §4.1.2).
type clientHello struct {
	serverName string // as sent; "" where absent
	ech        bool   // an encrypted ClientHello is offered, real or GREASE
}

// helloComplete reports whether the records hold the whole ClientHello, or can hold none.
func helloComplete(records []byte) bool {
	_, whole, err := helloMessage(records)
	return whole || err != nil
}

// helloMessage puts the handshake message together from its records.
func helloMessage(records []byte) (message []byte, whole bool, err error) {
	for {
		if len(message) >= 4 {
			if message[0] != 1 {
				return nil, false, errHello
			}
			size := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			if size > maxHello {
				return nil, false, errHello
			}
			if len(message) >= size {
				return message[4:size], true, nil
			}
		}
		if len(records) > 0 && records[0] != 22 || len(records) > 1 && records[1] != 3 {
			return nil, false, errHello
		}
		if len(records) < 5 {
			return nil, false, nil
		}
		size := int(binary.BigEndian.Uint16(records[3:]))
		if size == 0 || size > 1<<14 {
			return nil, false, errHello
		}
		if len(records) < 5+size {
			return nil, false, nil
		}
		message = append(message[:len(message):len(message)], records[5:5+size]...)
		records = records[5+size:]
	}
}

// parseHello reads the extensions of a complete ClientHello. Twice the same extension, more
// than one name, or bytes left over are errors: another parser might pick the other.
func parseHello(records []byte) (clientHello, error) {
	message, whole, err := helloMessage(records)
	if err != nil || !whole {
		return clientHello{}, errHello
	}
	c := cursor{rest: message}
	c.skip(2 + 32)         // version, random
	c.skip(int(c.uint8())) // session
	c.skip(int(c.uint16()))
	c.skip(int(c.uint8())) // compression
	if c.bad {
		return clientHello{}, errHello
	}
	if len(c.rest) == 0 {
		return clientHello{}, nil
	}
	extensions := cursor{rest: c.take(int(c.uint16()))}
	if c.bad || len(c.rest) != 0 {
		return clientHello{}, errHello
	}
	return parseExtensions(extensions)
}

func parseExtensions(c cursor) (clientHello, error) {
	var hello clientHello
	seen := map[uint16]bool{}
	for len(c.rest) > 0 {
		kind := c.uint16()
		body := c.take(int(c.uint16()))
		if c.bad || seen[kind] {
			return clientHello{}, errHello
		}
		seen[kind] = true
		switch kind {
		case 0: // server_name, RFC 6066 §3
			name, err := parseServerName(body)
			if err != nil {
				return clientHello{}, err
			}
			hello.serverName = name
		case 0xfe0d, 0xffce: // encrypted_client_hello, and the drafts' ESNI
			hello.ech = true
		}
	}
	return hello, nil
}

func parseServerName(body []byte) (string, error) {
	c := cursor{rest: body}
	list := cursor{rest: c.take(int(c.uint16()))}
	kind := list.uint8()
	name := list.take(int(list.uint16()))
	if c.bad || list.bad || len(c.rest) != 0 || len(list.rest) != 0 || kind != 0 || len(name) == 0 {
		return "", errHello
	}
	return string(name), nil
}

// cursor reads big-endian fields; after a short read it is bad and yields zeros.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.bad, c.rest = true, nil
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) skip(n int) { c.take(n) }

func (c *cursor) uint8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}
