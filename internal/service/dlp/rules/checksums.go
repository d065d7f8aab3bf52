package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"hash/crc32"
	"math/big"
	"strings"
)

// checked62 verifies the tokens of GitHub and of npm: behind the prefix, the last six of 36
// characters are the CRC-32 of the others in base62. A token for which it holds is one, however
// it looks; others are judged by their looks, because not every issuer of that form has the sum.
func checked62(token []byte) bool {
	_, body, ok := strings.Cut(string(token), "_")
	if !ok || len(body) != 36 {
		return false
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, want := crc32.ChecksumIEEE([]byte(body[:30])), [6]byte{}
	for i := len(want) - 1; i >= 0; i-- {
		want[i] = digits[sum%62]
		sum /= 62
	}
	return body[30:] == string(want[:])
}

// base58Check verifies the four bytes at the end of a key of Bitcoin's kind: its SHA-256, twice.
func base58Check(p []byte) bool {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, base := new(big.Int), big.NewInt(58)
	for _, b := range p {
		d := strings.IndexByte(digits, b)
		if d < 0 {
			return false
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	raw := n.Bytes()
	if len(raw) < 5 {
		return false
	}
	body, sum := raw[:len(raw)-4], raw[len(raw)-4:]
	once := sha256.Sum256(body)
	twice := sha256.Sum256(once[:])
	return bytes.Equal(twice[:4], sum)
}

// bech32 verifies the checksum of BIP 173.
func bech32(p []byte) bool {
	const digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	cut := bytes.LastIndexByte(p, '1')
	if cut < 1 {
		return false
	}
	var values []int
	for _, b := range p[:cut] {
		values = append(values, int(b>>5))
	}
	values = append(values, 0)
	for _, b := range p[:cut] {
		values = append(values, int(b&31))
	}
	for _, b := range p[cut+1:] {
		d := strings.IndexByte(digits, b)
		if d < 0 {
			return false
		}
		values = append(values, d)
	}
	sum := 1
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ v
		for i, g := range [5]int{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum == 1
}

// strKey verifies a key of Stellar's kind, and nkey one of NATS': base32 with CRC-16 at the end.
func strKey(p []byte) bool {
	raw, ok := checked32(p)
	return ok && raw[0] == 18<<3
}

func nkey(p []byte) bool {
	_, ok := checked32(p)
	return ok
}

func checked32(p []byte) ([]byte, bool) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(p))
	if err != nil || len(raw) < 4 {
		return nil, false
	}
	var crc uint16 // XMODEM
	for _, b := range raw[:len(raw)-2] {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return raw, raw[len(raw)-2] == byte(crc) && raw[len(raw)-1] == byte(crc>>8)
}
