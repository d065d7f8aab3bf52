package rules

import (
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
	"testing"
)

// draw makes n letters of an alphabet, alike in each run.
func draw(alphabet string, n int, seed uint32) string {
	var b strings.Builder
	for range n {
		seed = seed*1664525 + 1013904223
		b.WriteByte(alphabet[int(seed>>8)%len(alphabet)])
	}
	return b.String()
}

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum   = digits + upper + lower
	hexes   = "0123456789abcdef"
	based58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// sum62 ends a token's body as GitHub's and npm's do.
func sum62(body string) string {
	sum, out := crc32.ChecksumIEEE([]byte(body)), make([]byte, 6)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = alnum[sum%62]
		sum /= 62
	}
	return body + string(out)
}

func sum58(raw []byte) string {
	once := sha256.Sum256(raw)
	twice := sha256.Sum256(once[:])
	n, base, rest := new(big.Int).SetBytes(append(raw, twice[:4]...)), big.NewInt(58), new(big.Int)
	var out string
	for n.Sign() > 0 {
		n.DivMod(n, base, rest)
		out = string(based58[rest.Int64()]) + out
	}
	return out
}

func luhnEnd(number string) string {
	for _, d := range digits {
		if cardNumber([]byte(number + string(d))) {
			return number + string(d)
		}
	}
	return ""
}

func ibanOf(country, account string) string {
	for a := range 100 {
		n := country + string(digits[a/10]) + string(digits[a%10]) + account
		if iban([]byte(n)) {
			return n
		}
	}
	return ""
}

func found(text string) (names []string) {
	for _, r := range All() {
		for _, k := range r.Keywords {
			if strings.Contains(strings.ToLower(text), k) {
				r.Find([]byte(text), func(int, int) { names = append(names, r.ID) })
				break
			}
		}
	}
	return names
}

func TestWhatAgentsHandleIsFound(t *testing.T) {
	visa, german := luhnEnd("453201"+draw(digits, 9, 3)), ibanOf("DE", draw(digits, 18, 4))
	for _, c := range []struct{ rule, text string }{
		{"sk-key", "sk-" + draw(alnum, 48, 1)},
		{"together-key", "tgp_v1_" + draw(alnum, 43, 1)},
		{"pinecone-key", "pcsk_" + draw(alnum, 60, 1)},
		{"model-provider-key", "MISTRAL_API_KEY=" + draw(alnum, 32, 1)},
		{"aws-session-token", "IQoJ" + "b3JpZ2lu" + draw(alnum+"/+", 200, 1)},
		{"google-refresh-token", "1//0" + draw(alnum, 60, 1)},
		{"azure-shared-access", "https://a.blob.core.windows.net/c?sv=1&sig=" + draw(alnum, 43, 1) + "%3D"},
		{"supabase-key", "sbp_" + draw(hexes, 40, 1)},
		{"tailscale-key", "tskey-auth-" + draw(alnum, 12, 1) + "-" + draw(alnum, 32, 2)},
		{"github-token", "ghp_" + sum62(strings.Repeat("aB1c", 7)+"xx")},
		{"npm-token", "npm_" + sum62(draw(alnum, 30, 1))},
		{"bitbucket-token", "ATBB" + draw(alnum, 32, 1)},
		{"azure-devops-token", draw(alnum, 76, 1) + "AZDO" + draw(alnum, 4, 2)},
		{"gitea-token", "GITEA_TOKEN: " + draw(hexes, 40, 1)},
		{"npmrc-token", "//r.example/:_authToken=" + draw(alnum, 30, 1)},
		{"teams-webhook", "https://x.webhook.office.com/webhookb2/" + draw(hexes, 36, 1) + "/IncomingWebhook/" + draw(hexes, 32, 2) + "/" + draw(hexes, 36, 3)},
		{"dingtalk-webhook", "https://oapi.dingtalk.com/robot/send?access_token=" + draw(hexes, 64, 1)},
		{"figma-token", "figd_" + draw(alnum, 40, 1)},
		{"authorization-header", `"Authorization": "Bearer ` + draw(alnum, 40, 1) + `"`},
		{"wireguard-key", "PrivateKey = " + draw(alnum, 42, 1) + "A="},
		{"connection-password", "jdbc:postgresql://db/x?user=app&password=" + draw(alnum, 14, 1)},
		{"netrc-password", "machine h.example login me password " + draw(alnum, 14, 1)},
		{"docker-auth", `{"auths":{"r.example":{"auth":"bWU6cTh4WTIyTGtxMA=="}}}`},
		{"password-hash", "root:$6$" + draw(alnum, 8, 1) + "$" + draw(alnum, 86, 2)},
		{"bitcoin-key", "WIF: " + sum58(append([]byte{0x80}, []byte(draw(alnum, 32, 1))...))},
		{"card-number", "card: " + visa},
		{"card-number", `{"credit": "` + visa[:4] + " " + visa[4:8] + "-" + visa[8:12] + " " + visa[12:] + `"}`},
		{"card-with-code", visa + " cvv 123"},
		{"iban", "IBAN " + german},
		{"iban", "account: " + german[:4] + " " + german[4:8] + " " + german[8:12] + " " + german[12:16] + " " + german[16:20] + " " + german[20:]},
	} {
		hit := false
		names := found(c.text)
		for _, name := range names {
			hit = hit || name == c.rule
		}
		if !hit {
			t.Errorf("%s does not find its example; these do: %v", c.rule, names)
		}
	}
}

func TestAChecksumThatDoesNotHoldIsNoFinding(t *testing.T) {
	visa, german := luhnEnd("453201"+draw(digits, 9, 3)), ibanOf("DE", draw(digits, 18, 4))
	turned := func(s string) string { // two neighbours that differ change places
		for i := len(s) - 2; i > 0; i-- {
			if s[i] != s[i+1] {
				return s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
			}
		}
		return s
	}
	key := sum58(append([]byte{0x80}, []byte(draw(alnum, 32, 1))...))
	for _, text := range []string{
		"card: " + turned(visa), "card: 9" + visa[1:], "card " + visa + "0",
		"IBAN " + turned(german), "IBAN " + strings.Replace(german, "DE", "FR", 1),
		"WIF: " + turned(key),
		"nsec1" + draw("qpzry9x8gf2tvdw0", 58, 1), "stellar S" + draw(upper, 55, 1),
	} {
		if names := found(text); len(names) > 0 {
			t.Errorf("a text of %d bytes is found by %v", len(text), names)
		}
	}
	// A token that is checked needs no looks; one that is not needs them.
	plain := strings.Repeat("ab", 15)
	if names := found("ghp_" + sum62(plain)); len(names) == 0 {
		t.Error("a verified token is not found")
	}
	if names := found("ghp_" + plain + "ababab"); len(names) > 0 {
		t.Errorf("a made-up token of two letters is found by %v", names)
	}
}

func TestDocumentedExamplesAreNoSecrets(t *testing.T) {
	for _, text := range []string{
		"card: 4111 1111 1111 1111", "card 4242424242424242", "amex 3782-822463-10005", "IBAN DE89 3704 0044 0532 0130 00", "iban: GB82WEST12345698765432",
		"stripe sk_" + "test_4eC39HqLyjWDarjtT1zdp7dc", "token ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
		"AccountKey=" + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
		"Authorization: Bearer YOUR_ACCESS_TOKEN_GOES_HERE", "password=${DB_PASSWORD}", "machine example.com login me password secret",
	} {
		if names := found(text); len(names) > 0 {
			t.Errorf("%q is found by %v", text, names)
		}
	}
}

func BenchmarkAll(b *testing.B) {
	for b.Loop() {
		All()
	}
}
