package dlp_test

import (
	"encoding/base32"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
)

// TestPiecesThatLookLikeWordsAreDecoded glues pieces of encodings that happen to have next to no digits and
// no turns, as names have: what is encoded has one case, and tells by what it spells alone.
func TestPiecesThatLookLikeWordsAreDecoded(t *testing.T) {
	for _, c := range []struct{ name, text, sign string }{
		{"base64", base64.StdEncoding.EncodeToString([]byte("AK" + "IA" + "EXRVZ2EU5BN4VORW")), "~"},
		{"base64, backwards", base64.StdEncoding.EncodeToString([]byte("WROV4NB5UE2ZVRXE" + "AI" + "KA")), "~"},
		{"base32", base32.StdEncoding.EncodeToString([]byte("AK" + "IA" + "RJ3W2HYW5X6VPWIG")), " "},
	} {
		var pieces []string
		for text := c.text; text != ""; text = text[min(len(text), 6):] {
			pieces = append(pieces, text[:min(len(text), 6)])
		}
		body := `{"note":"` + strings.Join(pieces, c.sign) + `","n":1}`
		if found := dlp.New(nil).Scan([]byte(body), "body", all()); len(found) == 0 {
			t.Errorf("%s: nothing is found in %s", c.name, body)
		}
	}
}

// TestAGuessIsNotDroppedForBeingText decodes what a guess led to where that is neither glued nor drawn: pieces in
// quotes, in a base that any text may be.
func TestAGuessIsNotDroppedForBeingText(t *testing.T) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
	plain := `["AK` + `IAR", "J3W2H", "YW5X6", "VPWIG"]    `
	var b strings.Builder
	for i := 0; i+4 <= len(plain); i += 4 {
		n := uint32(plain[i])<<24 | uint32(plain[i+1])<<16 | uint32(plain[i+2])<<8 | uint32(plain[i+3])
		var five [5]byte
		for j := 4; j >= 0; j-- {
			five[j], n = digits[n%85], n/85
		}
		b.Write(five[:])
	}
	if found := dlp.New(nil).Scan([]byte("look: "+b.String()+" and so on"), "body", all()); len(found) == 0 {
		t.Errorf("nothing is found in %s", b.String())
	}
}
