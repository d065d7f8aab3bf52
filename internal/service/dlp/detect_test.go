package dlp_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/service/dlp"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/corpus"
)

// phrase makes a recovery phrase of n words from a seed, with the checksum of BIP 39 or without.
func phrase(t testing.TB, n int, seed int64, valid bool) []string {
	t.Helper()
	raw, err := os.ReadFile("rules/bip39.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(raw))
	entropy := make([]byte, n*11*32/33/8)
	rand.New(rand.NewSource(seed)).Read(entropy)
	sum := sha256.Sum256(entropy)
	if !valid {
		sum[0] ^= 0x80
	}
	bits := ""
	for _, b := range entropy {
		bits += fmt.Sprintf("%08b", b)
	}
	bits += fmt.Sprintf("%08b", sum[0])
	var words []string
	for i := range n {
		var at int
		if _, err := fmt.Sscanf(bits[11*i:11*i+11], "%b", &at); err != nil {
			t.Fatal(err)
		}
		words = append(words, list[at])
	}
	return words
}

func TestARecoveryPhraseIsFoundHoweverItIsWritten(t *testing.T) {
	e := dlp.New(nil)
	for _, n := range []int{12, 15, 18, 21, 24} {
		for seed := range int64(4) {
			words := phrase(t, n, seed, true)
			var numbered strings.Builder
			for i, w := range words {
				fmt.Fprintf(&numbered, "%d. %s\n", i+1, w)
			}
			for name, text := range map[string]string{
				"plain": strings.Join(words, " "), "upper": strings.ToUpper(strings.Join(words, " ")),
				"lines": strings.Join(words, "\n"), "JSON": `["` + strings.Join(words, `","`) + `"]`, "escaped": `{"m":"` + strings.Join(words, `\n`) + `"}`,
				"numbered": numbered.String(), "in prose": filler(501) + " the seed is " + strings.Join(words, " ") + " and that is it. " + filler(77),
				"query": "phrase=" + strings.Join(words, "+"), "commas": strings.Join(words, ", "),
			} {
				if found := e.Scan([]byte(text), "body", all()); !strings.Contains(dlp.Names(found), "seed-phrase") {
					t.Errorf("%d words, %s: %v", n, name, found)
				}
			}
			if n > 12 {
				continue // some of its words may be a shorter phrase by chance
			}
			wrong := phrase(t, n, seed, false)
			if found := e.Scan([]byte(strings.Join(wrong, " ")), "body", all()); len(found) > 0 {
				t.Errorf("%d words without a checksum: %v", n, found)
			}
		}
	}
	if found := e.Scan([]byte(strings.Repeat("abandon ", 11)+"about"), "body", all()); len(found) > 0 {
		t.Errorf("the standard's own example is found: %v", found)
	}
}

func TestEntropyFindsWhatLooksDrawnByLot(t *testing.T) {
	e, r := dlp.New(nil), rand.New(rand.NewSource(5))
	use := dlp.Detectors{Entropy: true}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	missed := 0
	for range 200 {
		value := make([]byte, 24+r.Intn(40))
		for i := range value {
			value[i] = alnum[r.Intn(len(alnum))]
		}
		if len(e.Scan([]byte(`{"v":"`+string(value)+`"}`), "body", use)) == 0 {
			missed++
		}
	}
	if missed > 6 {
		t.Errorf("of 200 random values %d are missed", missed)
	}
	alarms, bodies := map[string]int{}, 0
	for _, c := range corpus.Benign(11, 24) {
		bodies++
		if c.Class == "digests in lines" || c.Class == "a list of identifiers" {
			continue // they are drawn by lot, and nothing says what they are
		}
		if len(e.Scan(c.Body, "body", use)) > 0 {
			alarms[c.Class]++
		}
	}
	if len(alarms) > 0 {
		t.Errorf("of %d benign bodies there are alarms in %v", bodies, alarms)
	}
	for _, text := range []string{
		"f47ac10b-58cc-4372-a567-0e02b2c3d479", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "integrity: sha512-9NET910DNaIPngYnLLPeg+Ogzqsi9uM4mSboU5y6p8S5DzMTVEsJZrawi+BoDNUVBa2DhJqQYUFvMDfgU062LQ==",
		"getUserAccountByIdentifierOrThrowException2", "SGVsbG8sIHRoaXMgaXMgYSBsb25nIHNlbnRlbmNlIGluIGJhc2U2NA==", "the-quick-brown-fox-jumps-over-13-lazy-dogs",
	} {
		if found := e.Scan([]byte(text), "body", use); len(found) > 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
}
