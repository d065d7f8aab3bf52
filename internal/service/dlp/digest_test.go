package dlp_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestDigests hides a secret in what has a lock file's digest's form: its place, and how it is packed, change nothing.
func TestDigests(t *testing.T) {
	const own = "violet-Otter-5128-lantern"
	e := dlp.New([]dlp.Known{{Name: "K", Value: secret.New(own)}})
	value := append([]byte("the key is "+own+" and nothing else "), bytes.Repeat([]byte("."), 64)...)[:64]
	turned := bytes.Clone(value)
	for i := range turned {
		turned[i] ^= 0x5a
	}
	for name, raw := range map[string][]byte{"plain": value, "combined": turned} {
		lock := &bytes.Buffer{}
		for i := range 40 {
			sum := bytes.Repeat([]byte{byte(i), 0xfe, 0x81, byte(7 * i), 0x13, 0xc0, 0x9b, 0xe2}, 8)
			if i == 21 {
				sum = raw
			}
			fmt.Fprintf(lock, "\"node_modules/p%d\": {\n  \"version\": \"1.%d.0\",\n  \"integrity\": \"sha512-%s\",\n", i, i, base64.StdEncoding.EncodeToString(sum))
		}
		if found := e.Scan(lock.Bytes(), "body", all()); len(found) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}
