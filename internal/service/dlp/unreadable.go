package dlp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// RuleUnreadable is the finding of an archive or a message of which nobody without its key can tell
// what is in it, or of a kind that is not unpacked.
const RuleUnreadable = rules.UnreadableArchive

var (
	errUnreadable = errors.New("it is encrypted, or packed in a way that is not read")
	errBlock      = errors.New("a block is broken")
)

// unread reports whether an unpacker's error leaves something that was not looked at. A mark of four
// bytes and more at the beginning of a text stands there for a reason; any other may be chance, and
// counts where what follows was understood.
func unread(err error, name string, begins bool) bool {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errAborted), errors.Is(err, errTooMuch):
		return false
	case errors.Is(err, errUnreadable):
		return true
	}
	return begins && slices.Contains([]string{"xz", "lzip", "lzma", "lz4", "zstd", "bzip2", "zip"}, name)
}

// opens tells a node with which bytes what it unpacks begins.
func (n *node) opens(p []byte, begins bool) {
	if n == nil {
		return
	}
	n.begins = begins
	n.head = bytes.Clone(p[:min(len(p), 64)])
}

// draws says that what comes out are a picture's pixels.
func (n *node) draws(pixels bool) {
	if n != nil {
		n.pixels = pixels
	}
}

func (s *Stream) sealed(name string, at int64, head []byte) {
	f := Finding{Rule: RuleUnreadable, Place: s.place, Steps: append(slices.Clip(s.steps), name), Offset: at, Fingerprint: s.e.fingerprint(head)}
	if s.use.Patterns && (s.use.Allow == nil || !s.use.Allow(f)) {
		s.add(f)
	}
}

func (s *scan) sealed(v view, at int, name string) {
	if s.use.Patterns && v.guess == 0 { // a guess makes any mark of chance
		p := v.text[at:]
		s.add(v.next(at, len(v.text), name), 0, 0, RuleUnreadable, "", p[:min(len(p), 64)])
	}
}

// entry reports whether p, behind its mark, can be the head of a file in a zip archive (APPNOTE 4.3.7).
func entry(p []byte) bool {
	if len(p) < 30 {
		return true
	}
	method, name := binary.LittleEndian.Uint16(p[8:]), binary.LittleEndian.Uint16(p[26:])
	return p[4] < 100 && p[5] < 32 && method < 100 && name > 0 && name < 1<<12 && p[7]&^0x28 == 0
}

// opening names what p is where that shows only in how all of it begins, or "".
func opening(p []byte) string {
	if len(p) < 18 {
		return ""
	}
	switch p[0] {
	case 0x5d:
		if p[1] == 0 && alone(p) {
			return "lzma"
		}
	case 0xa3: // a packet of the old form without a length
		if p[1] == 1 && deflated(p[2:]) {
			return "pgp"
		}
	case 'S':
		if bytes.HasPrefix(p, []byte("Salted__")) && noText(p[8:]) {
			return "openssl"
		}
	case 'a':
		if bytes.HasPrefix(p, []byte("age-encryption.org/v1\n-> ")) {
			return "age"
		}
	case '-':
		return armored(p)
	case 0x84, 0x85, 0x8c, 0xc1, 0xc3:
		if sessionKey(p) {
			return "pgp-message"
		}
	}
	for _, m := range marks { // a head that is broken counts here too
		if bytes.HasPrefix(p, []byte(m.mark)) {
			return m.name
		}
	}
	return ""
}

// marks are those of formats that are not unpacked, or whose head is broken.
var marks = []struct{ mark, name string }{
	{"\xfd7zXZ\x00", "xz"},
	{"7z\xbc\xaf\x27\x1c", "7z"},
	{"Rar!\x1a\x07", "rar"},
	{"\x89LZO\x00\r\n\x1a\n", "lzop"},
	{"LRZI\x00", "lrzip"},
	{"7kSt\xa0\x31\x83\xd3", "zpaq"},
	{"zPQ\x01", "zpaq"},
	{"MSCF\x00\x00\x00\x00", "cabinet"},
	{"MSWIM\x00\x00\x00", "wim"},
	{"hsqs", "squashfs"},
	{"ArC\x01", "arc"},
}

// sessionKey reports whether p begins as an encrypted message of OpenPGP does: with the packet of a
// session key (RFC 4880, sections 5.1 and 5.3) whose fields are possible.
func sessionKey(p []byte) bool {
	tag, body := p[0]>>2&15, p[2:]
	switch {
	case p[0]&0x40 != 0: // of the new form
		tag = p[0] & 63
		if p[1] >= 192 {
			body = p[3:]
		}
	case p[0]&3 == 1:
		body = p[3:]
	}
	switch tag {
	case 1:
		return body[0] == 3 && keyed(body[9:], p[:len(p)-len(body)])
	case 3:
		return (body[0] == 4 || body[0] == 5) && body[1] > 0 && body[1] <= 13 && body[2] <= 3 && body[3] > 0 && body[3] <= 14
	}
	return false
}

// headed reports whether the head behind the mark of an xz, 7z or rar archive is whole: programs that know
// these formats hold their marks too.
func headed(p []byte) bool {
	switch {
	case len(p) < 32:
		return false
	case p[0] == 0xfd:
		return crc32.ChecksumIEEE(p[6:8]) == binary.LittleEndian.Uint32(p[8:])
	case p[0] == '7':
		return crc32.ChecksumIEEE(p[12:32]) == binary.LittleEndian.Uint32(p[8:])
	case p[6] == 0: // before version 5: the type of the first block
		return p[9] == 0x73
	}
	return p[6] == 1 && p[7] == 0 && p[12] < 64 && p[13] == 1
}

// keyed reports whether an algorithm and the length of its number fit a packet's head: the number is all
// that follows for RSA, and a point on one of the curves for ECDH.
func keyed(p, head []byte) bool {
	if len(p) < 3 || len(head) < 2 {
		return false
	}
	length, bits := int(head[1]), int(p[1])<<8|int(p[2])
	switch {
	case head[0]&0x40 == 0 && head[0]&3 == 1:
		length = length<<8 | int(head[2])
	case head[0]&0x40 != 0 && head[1] >= 192 && head[1] < 224:
		length = (length-192)<<8 + int(head[2]) + 192
	}
	switch p[0] {
	case 1, 2, 16:
		return length >= 76 && (bits+7)/8+12 == length || p[0] == 16 && (bits+7)/8*2+14 == length
	case 18:
		return length >= 60 && length < 220 && slices.Contains([]int{263, 515, 771, 1059}, bits)
	}
	return false
}

// armored names a message in ASCII armor (RFC 4880, section 6.2): what it holds is looked at as base64 too,
// of which an encrypted one says no more.
func armored(p []byte) string {
	switch {
	case bytes.HasPrefix(p, []byte("-----BEGIN PGP MESSAGE-----")):
		_, body, ok := bytes.Cut(p[:min(len(p), 1024)], []byte("\n\n"))
		if !ok {
			_, body, ok = bytes.Cut(p[:min(len(p), 1024)], []byte("\r\n\r\n"))
		}
		var raw [18]byte
		if ok && len(body) >= 24 {
			for i := range 6 {
				q := body[4*i:]
				v := uint32(digits64[q[0]])<<18 | uint32(digits64[q[1]])<<12 | uint32(digits64[q[2]])<<6 | uint32(digits64[q[3]])
				raw[3*i], raw[3*i+1], raw[3*i+2] = byte(v>>16), byte(v>>8), byte(v)
			}
			if sessionKey(raw[:]) {
				return "pgp-message"
			}
		}
	case bytes.HasPrefix(p, []byte("-----BEGIN AGE ENCRYPTED FILE-----\n")):
		return "age"
	}
	return ""
}

// noText reports whether the first bytes of p are no text.
func noText(p []byte) bool {
	for _, b := range p[:8] {
		if kinds[b]&isText == 0 {
			return true
		}
	}
	return false
}
