package sidecar_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/bot-bottle/bot-bottle/internal/policy"
)

// each writes every byte of a text in a form of its own.
func each(text, format string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, format, text[i])
	}
	return b.String()
}

// wide is a text in UTF-16 behind its byte order mark.
func wide(text string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func narrow(text string, big bool) string {
	var u []uint16
	for i := 0; i+1 < len(text); i += 2 {
		lo, hi := text[i], text[i+1]
		if big {
			lo, hi = hi, lo
		}
		u = append(u, uint16(hi)<<8|uint16(lo))
	}
	return string(utf16.Decode(u))
}

func redacting(t *testing.T, owner string) (*wire, func(body string, header ...string) (int, string)) {
	t.Helper()
	w := newWire(t, nil)
	route := w.route("example.com", policy.DLP{OnMatch: "redact"})
	route.Owner = owner
	r, ready := serving(t, false, nil, route)
	client := agent(t, r, ready)
	return w, func(body string, header ...string) (int, string) {
		status, _ := send(t, client, "https://example.com/x", body, header...)
		reached := w.take()
		if status == http.StatusOK {
			reached = strings.TrimSuffix(reached, "\nmap[] <nil>\n")
		}
		return status, reached
	}
}

func TestARedactedFormKeepsItsNamesAndOtherValues(t *testing.T) {
	_, send := redacting(t, "")
	for name, value := range map[string]string{
		"plain": githubToken(), "percent": each(githubToken(), "%%%02x"), "percent twice": each(githubToken(), "%%25%02X"),
		"base64": base64.StdEncoding.EncodeToString([]byte(githubToken())), "a known one": each(token(), "%%%02X"),
	} {
		for _, form := range []string{"a=1&b=%s&c=2", "name=bob+smith&token=%s&page=2", "b=%s", "x%%5By%%5D=q%%20r&b=%s&c=2"} {
			body := strings.Replace(strings.ReplaceAll(form, "%%", "%"), "%s", value, 1)
			status, reached := send(body, "Content-Type", "application/x-www-form-urlencoded")
			if status != http.StatusOK {
				t.Errorf("%s in %s: %d", name, form, status)
				continue
			}
			got := reached[max(0, len(reached)-len(body)):]
			was, _ := url.ParseQuery(body)
			is, err := url.ParseQuery(got)
			if err != nil || len(is) != len(was) {
				t.Errorf("%s in %s: %v: %q", name, form, err, got)
			}
			for field := range was {
				if secret := field == "b" || field == "token"; secret == (is.Get(field) == was.Get(field)) || strings.ContainsFunc(is.Get(field), func(r rune) bool { return r < ' ' }) {
					t.Errorf("%s in %s: %q became %q", name, form, body, got)
				}
			}
		}
	}
	secret := githubToken()
	if status, _ := send("a="+secret[:20]+"&b="+secret[20:], "Content-Type", "application/x-www-form-urlencoded"); status != http.StatusForbidden {
		t.Errorf("what stands in two values: %d", status)
	}
}

func TestARedactedQueryKeepsItsNamesAndOtherValues(t *testing.T) {
	w := newWire(t, nil)
	r, ready := serving(t, false, nil, w.route("example.com", policy.DLP{OnMatch: "redact"}))
	client := agent(t, r, ready)
	value := each(githubToken(), "%%%02X")
	status, answer := send(t, client, "https://example.com/x?a=1&b="+value+"&c=2", "")
	if reached := w.take(); status != http.StatusOK || !strings.HasPrefix(reached, "POST /x?a=1&b=") || !strings.Contains(reached, "&c=2\n") || strings.Contains(reached, value) {
		t.Errorf("%d %s: %q", status, answer, reached)
	}
	for _, query := range []string{"X-Amz-Signature=", "X-Goog-Signature="} {
		if status, _ := send(t, client, "https://example.com/x?b="+value+"&"+query+strings.Repeat("5bd5", 16), ""); status != http.StatusForbidden {
			t.Errorf("%s: %d", query, status)
		}
	}
}

func TestRedactedXMLStaysXML(t *testing.T) {
	_, send := redacting(t, "")
	for name, value := range map[string]string{
		"plain": githubToken(), "decimal": each(githubToken(), "&#%d;"), "hex": each(githubToken(), "&#x%x;"), "padded": each(githubToken(), "&#%05d;"),
		"base64": base64.StdEncoding.EncodeToString([]byte(githubToken())),
	} {
		for _, form := range []string{"<a><b>%s</b><c>1</c></a>", `<?xml version="1.0"?><doc><key id="%s" n="x1"/></doc>`, "<a><b>one &amp; %s</b></a>", "<a>\n<!-- note 1 -->\n<b><![CDATA[%s]]></b></a>"} {
			if strings.Contains(form, "CDATA") && strings.HasPrefix(value, "&") {
				continue
			}
			body := strings.Replace(form, "%s", value, 1)
			status, reached := send(body, "Content-Type", "application/xml")
			if status != http.StatusOK {
				t.Errorf("%s in %s: %d", name, form, status)
				continue
			}
			got := reached[max(0, len(reached)-len(body)):]
			before, after, _ := strings.Cut(form, "%s")
			if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
				t.Errorf("%s: %q became %q", name, body, got)
			}
			for d := xml.NewDecoder(strings.NewReader(got)); ; {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Errorf("%s: %v: %q", name, err, got)
					break
				}
			}
		}
	}
	if status, _ := send("<a><b>"+each(githubToken(), "&#%d;")+"</b>", "Content-Type", "application/xml"); status != http.StatusForbidden {
		t.Errorf("what is no XML: %d", status)
	}
}

func TestRedactedUTF16KeepsItsMark(t *testing.T) {
	_, send := redacting(t, "")
	for _, big := range []bool{false, true} {
		text := "note: " + githubToken() + " — end\n"
		for _, body := range []string{text, githubToken()} {
			status, reached := send(wide(body, big), "Content-Type", "text/plain")
			if status != http.StatusOK {
				t.Errorf("big %v: %d", big, status)
				continue
			}
			sent := wide(body, big)
			got := narrow(reached[max(0, len(reached)-len(sent)):], big)
			if !strings.HasPrefix(got, "\ufeff") || strings.Contains(got, githubToken()) || strings.ContainsFunc(got, func(r rune) bool { return r == 0 || r > 0x2fff && r != '\ufeff' }) {
				t.Errorf("big %v: %q", big, got)
			}
		}
	}
}

func TestASummedBodyIsRefusedNotRedacted(t *testing.T) {
	_, send := redacting(t, "")
	type m = map[string]any
	secret, sum := githubToken(), strings.Repeat("5bd5", 16)
	signature := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\x9a\x51\xc3\x0f", 16)))
	for name, c := range map[string]struct {
		body any
		want int
	}{
		"sha256":                 {m{"v": secret, "sha256": sum}, 403},
		"of its parent":          {m{"list": []any{m{"v": secret}}, "contentChecksum": sum}, 403},
		"of its sibling":         {m{"v": secret, "dist": m{"shasum": sum[:40]}}, 200},
		"integrity":              {m{"v": secret, "integrity": "sha512-" + base64.StdEncoding.EncodeToString([]byte(sum))}, 403},
		"JWS":                    {m{"payload": base64.RawURLEncoding.EncodeToString([]byte(`{"v":"` + secret + `"}`)), "protected": "e30", "signature": signature}, 403},
		"JWS, several":           {m{"payload": base64.RawURLEncoding.EncodeToString([]byte(`{"v":"` + secret + `"}`)), "signatures": []any{m{"protected": "e30", "signature": signature}}}, 403},
		"hmac":                   {m{"data": m{"v": secret}, "hmac": sum}, 403},
		"md5 in base64":          {m{"v": secret, "Content_MD5": base64.StdEncoding.EncodeToString([]byte(sum[:16]))}, 403},
		"a word of that name":    {m{"v": secret, "signature": "func main()", "digest": "weekly"}, 200},
		"the name in a string":   {m{"v": secret + ` "sha256": "` + sum + `"`}, 200},
		"a sum with no name":     {m{"v": secret, "commit": sum[:40]}, 200},
		"an escaped name":        {json.RawMessage(`{"v":"` + secret + `","sha\u0032\u0035\u0036":"` + sum + `"}`), 403},
		"no JSON":                {nil, 403},
		"more than is looked at": {m{"v": secret, "x": strings.Repeat("word ", 60<<10)}, 403},
	} {
		body, err := json.Marshal(c.body)
		if err != nil {
			t.Fatal(err)
		}
		if c.body == nil {
			body = []byte(`{"v":"` + secret + `"`)
		}
		status, reached := send(string(body), "Content-Type", "application/json")
		if status != c.want || strings.Contains(reached, secret) {
			t.Errorf("%s: %d", name, status)
		}
	}
	for _, kind := range []string{"application/x-www-form-urlencoded", "application/xml"} {
		body := "v=" + secret + "&signature=" + sum
		if strings.HasSuffix(kind, "xml") {
			body = "<a><v>" + secret + "</v><ds:SignatureValue>" + sum + "</ds:SignatureValue></a>"
		}
		if status, _ := send(body, "Content-Type", kind); status != 403 {
			t.Errorf("%s: %d", kind, status)
		}
	}
}

func TestWhatAnAuthorizationSignsIsRefusedNotRedacted(t *testing.T) {
	_, send := redacting(t, "")
	mac := hex.EncodeToString([]byte(strings.Repeat("\x9a\x51\xc3\x0f", 8)))
	for value, want := range map[string]int{
		"Basic dXNlcjpwYXNz": 200,
		"AWS4-HMAC-SHA256 Credential=x/20261124/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + mac: 403,
		"AWS4-ECDSA-P256-SHA256 Credential=x, SignedHeaders=host, Signature=" + mac:                              403,
		`Signature keyId="k",algorithm="hmac-sha256",signature="` + mac + `"`:                                    403,
		"HMAC-SHA256 SignedHeaders=host&Signature=" + mac:                                                        403,
		`hmac username="bob", signature="` + mac + `"`:                                                           403,
		`Digest username="bob", qop=auth-int, response="` + mac[:32] + `"`:                                       403,
		`Digest username="bob", qop=auth, response="` + mac[:32] + `"`:                                           200,
		`Hawk id="d", ts="1", hash="` + mac[:20] + `=", mac="` + mac[:20] + `="`:                                 403,
		`OAuth oauth_body_hash="x", oauth_signature="y"`:                                                         403,
		"SharedKey account:" + mac:                                                                               403,
	} {
		if status, _ := send(`{"a":"`+githubToken()+`"}`, "Content-Type", "application/json", "Authorization", value); status != want {
			t.Errorf("%s: %d", value, status)
		}
	}
}

func TestAConversationThatTellsOfSumsIsRedacted(t *testing.T) {
	_, send := redacting(t, "claude")
	sum := strings.Repeat("5bd5", 16)
	body := conversation(t, `{"sha256": "`+sum+`", "signature": "`+sum+`"}`+"\nA="+githubToken())
	if status, reached := send(body, "Content-Type", "application/json"); status != 200 || strings.Contains(reached, githubToken()) {
		t.Errorf("names in a text: %d", status)
	}
	input := `{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"put","input":{"text":"` + githubToken() + `","sha256":"` + sum + `"}}]}]}`
	if status, _ := send(input, "Content-Type", "application/json"); status != 200 {
		t.Errorf("a tool's input: %d", status)
	}
	beside := `{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"` + sum + `"},{"type":"text","text":"` + githubToken() + `"}]}]}`
	if status, _ := send(beside, "Content-Type", "application/json"); status != 200 {
		t.Errorf("beside a thought: %d", status)
	}
	thought := `{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"it is ` + githubToken() + `","signature":"` + sum + `"}]}]}`
	if status, _ := send(thought, "Content-Type", "application/json"); status != 403 {
		t.Errorf("a signed thought: %d", status)
	}
	if status, reached := send(conversation(t, strings.Repeat("words ", 60<<10)+githubToken()), "Content-Type", "application/json"); status != 200 || strings.Contains(reached, githubToken()) {
		t.Errorf("a long conversation: %d", status)
	}
}
