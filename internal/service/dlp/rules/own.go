package rules

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// own are the rules for what coding agents handle and gitleaks does not know, or knows only with
// a narrower form. Their patterns need no text after the secret, so that a glued one is found.
func own() []*Rule {
	return []*Rule{
		{ID: "anthropic-key", Regex: `sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"sk-ant-"}},
		{ID: "openai-key", Regex: `sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"sk-proj-", "sk-svcacct-", "sk-admin-", "sk-none-"}},
		{ID: "openai-legacy-key", Regex: `sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}`, Keywords: []string{"t3blbkfj"}},
		{ID: "openrouter-key", Regex: `sk-or-v1-[a-f0-9]{40,}`, Keywords: []string{"sk-or-v1-"}},
		{ID: "groq-key", Regex: `gsk_[A-Za-z0-9]{40,}`, Entropy: 3.5, Keywords: []string{"gsk_"}},
		{ID: "xai-key", Regex: `xai-[A-Za-z0-9]{60,}`, Entropy: 3.5, Keywords: []string{"xai-"}},
		{ID: "replicate-token", Regex: `r8_[A-Za-z0-9]{37}`, Entropy: 3.5, Keywords: []string{"r8_"}},
		{ID: "perplexity-key", Regex: `pplx-[A-Za-z0-9]{40,}`, Entropy: 3.5, Keywords: []string{"pplx-"}},
		{ID: "tavily-key", Regex: `tvly-(?:dev-|prod-)?[A-Za-z0-9]{28,}`, Entropy: 3.5, Keywords: []string{"tvly-"}},
		{ID: "nvidia-key", Regex: `nvapi-[A-Za-z0-9_-]{50,}`, Entropy: 3.5, Keywords: []string{"nvapi-"}},
		{ID: "langsmith-key", Regex: `lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}`, Keywords: []string{"lsv2_"}},
		{ID: "huggingface-token", Regex: `hf_[A-Za-z0-9]{34}`, Entropy: 3.5, Keywords: []string{"hf_"}},
		{ID: "google-api-key", Regex: `AIza[A-Za-z0-9_-]{35}`, Entropy: 3.5, Keywords: []string{"aiza"}},
		{ID: "google-oauth-token", Regex: `ya29\.[A-Za-z0-9_-]{40,}`, Entropy: 3.5, Keywords: []string{"ya29."}},
		{ID: "google-oauth-secret", Regex: `GOCSPX-[A-Za-z0-9_-]{28}`, Entropy: 3.2, Keywords: []string{"gocspx-"}},
		{ID: "aws-key-id", Regex: `(?:AKIA|ASIA)[A-Z2-7]{16}`, Entropy: 3, Keywords: []string{"akia", "asia"}},
		{ID: "aws-secret-key", Regex: `(?i:aws|secret)[\w ./"'-]{0,30}["']?\s{0,3}[:=]>?\s{0,3}["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)`, Entropy: 4.2, Keywords: []string{"aws", "secret"}},
		{ID: "github-token", Regex: `gh[pousr]_[A-Za-z0-9]{36}`, Entropy: 3.5, Keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}},
		{ID: "github-fine-grained", Regex: `github_pat_[A-Za-z0-9_]{36,}`, Entropy: 3.5, Keywords: []string{"github_pat_"}},
		{ID: "gitlab-token", Regex: `gl(?:pat|ptt|dt|rt|soat|cbt|ft|oas)-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"glpat-", "glptt-", "gldt-", "glrt-", "glsoat-", "glcbt-", "glft-", "gloas-"}},
		{ID: "npm-token", Regex: `npm_[A-Za-z0-9]{36}`, Entropy: 3.5, Keywords: []string{"npm_"}},
		{ID: "pypi-token", Regex: `pypi-AgE[A-Za-z0-9_-]{50,}`, Entropy: 3.5, Keywords: []string{"pypi-age"}},
		{ID: "slack-token", Regex: `xox[abeoprs]-(?:\d+-)?[A-Za-z0-9-]{20,}`, Entropy: 2.8, Keywords: []string{"xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"}},
		{ID: "slack-webhook", Regex: `hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,}`, Keywords: []string{"hooks.slack.com"}},
		{ID: "discord-webhook", Regex: `discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{17,20}/[A-Za-z0-9_-]{60,}`, Keywords: []string{"/webhooks/"}},
		{ID: "telegram-token", Regex: `\d{8,10}:AA[A-Za-z0-9_-]{33}`, Entropy: 3.5, Keywords: []string{":aa"}},
		{ID: "stripe-key", Regex: `(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/]{30,}`, Entropy: 3.2, Keywords: []string{"sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_", "whsec_"}},
		{ID: "sendgrid-key", Regex: `SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}`, Keywords: []string{"sg."}},
		{ID: "docker-token", Regex: `dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}`, Keywords: []string{"dckr_"}},
		{ID: "digitalocean-token", Regex: `do[opr]_v1_[a-f0-9]{64}`, Keywords: []string{"dop_v1_", "doo_v1_", "dor_v1_"}},
		{ID: "vault-token", Regex: `hv[sb]\.[A-Za-z0-9_-]{24,}`, Entropy: 3.5, Keywords: []string{"hvs.", "hvb."}},
		{ID: "linear-key", Regex: `lin_api_[A-Za-z0-9]{40}`, Keywords: []string{"lin_api_"}},
		{ID: "azure-account-key", Regex: `(?:AccountKey|SharedAccessKey|sig)=([A-Za-z0-9+/%]{40,90}={0,2})`, Entropy: 4, Keywords: []string{"accountkey=", "sharedaccesskey="}},
		{ID: "private-key-block", Regex: `-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\s\\nr"'+,]|[A-Za-z0-9+/=:-]){40,}`, Keywords: []string{"private key"}},
		{ID: "putty-key", Regex: `PuTTY-User-Key-File-[23]:`, Keywords: []string{"putty-user-key-file"}},
		{ID: "age-key", Regex: `AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}`, Keywords: []string{"age-secret-key-1"}},
		{ID: "json-web-token", Regex: `ey[A-Za-z0-9_-]{15,}\.ey[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{16,}`, Keywords: []string{"ey"}, check: jwt},
		{ID: "connection-string", Regex: `(?i)(?:postgres(?:ql)?(?:\+\w+)?|mysql(?:\+\w+)?|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|clickhouse|ftps?|sftp|ssh|ldaps?|smtps?|https?)://[^\s:@/"'<>]{0,64}:([^\s@/"'<>]{6,128})@[\w.\[-]`, Keywords: []string{"://"}, check: realPassword},
		{ID: "bip32-key", Regex: `[xyz]prv[1-9A-HJ-NP-Za-km-z]{107}`, Keywords: []string{"prv"}},
		{ID: "ethereum-key", Regex: `(?i)(?:private|eth|wallet|secret)[\w ]{0,20}["']?\s{0,3}[:=]\s{0,3}["']?(?:0x)?([0-9a-f]{64})(?:[^0-9a-f]|$)`, Entropy: 3, Keywords: []string{"private", "wallet", "eth_"}},
		{ID: "card-number", Regex: `(?i)(?:card|visa|amex|pan\b|mastercard|ccnum|cc_)[^0-9]{0,30}((?:\d[ -]?){14,18}\d)(?:\D|$)`, Keywords: []string{"card", "visa", "amex", "ccnum", "cc_n"}, check: luhn},
		{ID: "iban", Regex: `(?i)iban[^A-Z0-9]{0,12}([A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})`, Keywords: []string{"iban"}, check: iban},
	}
}

func jwt(token []byte) bool {
	head, _, _ := bytes.Cut(token, []byte{'.'})
	raw, err := base64.RawURLEncoding.DecodeString(string(head))
	var fields map[string]any
	return err == nil && json.Unmarshal(raw, &fields) == nil && fields["alg"] != nil
}

func realPassword(p []byte) bool {
	switch string(bytes.ToLower(p)) {
	case "password", "passwd", "secret", "postgres", "mysecretpassword", "username", "hunter2", "foobar", "correct":
		return false
	}
	return !bytes.ContainsAny(p, "${}<>[]%*") && !bytes.HasPrefix(bytes.ToLower(p), []byte("pass"))
}

// luhn is ISO/IEC 7812-1 annex B, with the issuers' ranges.
func luhn(p []byte) bool {
	var digits []int
	for _, b := range p {
		if b >= '0' && b <= '9' {
			digits = append(digits, int(b-'0'))
		}
	}
	n := len(digits)
	if n < 15 || n > 16 || digits[0] < 2 || digits[0] > 6 {
		return false
	}
	sum := 0
	for i, d := range digits {
		if (n-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// iban is ISO 13616: the number, its first four characters moved to the end, is 1 modulo 97.
func iban(p []byte) bool {
	p = bytes.ToUpper(bytes.ReplaceAll(p, []byte{' '}, nil))
	for n := min(len(p), 34); n >= 15; n-- {
		mod := 0
		for _, b := range append(append([]byte{}, p[4:n]...), p[:4]...) {
			if b >= 'A' {
				mod = (mod*100 + int(b-'A') + 10) % 97
			} else {
				mod = (mod*10 + int(b-'0')) % 97
			}
		}
		if mod == 1 {
			return true
		}
	}
	return false
}
