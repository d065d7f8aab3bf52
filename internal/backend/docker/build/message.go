package build

import (
	"encoding/binary"
	"errors"
)

// errMessage is for bytes that are no message of protocol buffers.
var errMessage = errors.New("cannot read what the engine says: a message is cut short")

// field is one field of a message of protocol buffers: a number or bytes.
type field struct {
	number uint64
	value  uint64
	bytes  []byte
}

// Wire types, <https://protobuf.dev/programming-guides/encoding/>.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// fields takes a message apart; numbers of fixed size are left out, since none is of use here.
func fields(message []byte) ([]field, error) {
	var all []field
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, errMessage
		}
		message = message[n:]
		f, skip := field{number: key >> 3}, 0
		switch key & 7 {
		case wireVarint, wireBytes:
			if f.value, n = binary.Uvarint(message); n <= 0 {
				return nil, errMessage
			}
			message = message[n:]
			if key&7 == wireBytes {
				if f.value > uint64(len(message)) {
					return nil, errMessage
				}
				f.bytes, message = message[:f.value], message[f.value:]
			}
			all = append(all, f)
		case wireFixed64:
			skip = 8
		case wireFixed32:
			skip = 4
		default:
			return nil, errMessage
		}
		if skip > len(message) {
			return nil, errMessage
		}
		message = message[skip:]
	}
	return all, nil
}

// appendNumber adds a field that is a number; 0 is the default and left out.
func appendNumber(message []byte, number, value uint64) []byte {
	if value == 0 {
		return message
	}
	return binary.AppendUvarint(binary.AppendUvarint(message, number<<3|wireVarint), value)
}

// appendBytes adds a field that is bytes, text or a message.
func appendBytes[T string | []byte](message []byte, number uint64, value T) []byte {
	message = binary.AppendUvarint(message, number<<3|wireBytes)
	return append(binary.AppendUvarint(message, uint64(len(value))), value...)
}
