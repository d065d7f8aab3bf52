package rules

import "bytes"

// keys are private keys and passwords, whoever they are for.
func keys() []*Rule {
	return []*Rule{
		{ID: "private-key-block", Regex: `-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\s\\nr"'+,]|[A-Za-z0-9+/=:-]){40,}?(?:-----END[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----|[^\s\\"'+,A-Za-z0-9/=:-]|$)`, Keywords: []string{"private key"}, check: keyBlock},
		{ID: "putty-key", Regex: `PuTTY-User-Key-File-[23]:`, Keywords: []string{"putty-user-key-file"}},
		{ID: "age-key", Regex: `AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}`, Keywords: []string{"age-secret-key-1"}},
		{ID: "json-web-token", Regex: `ey[A-Za-z0-9_-]{15,}\.ey[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{16,}`, Keywords: []string{"ey"}, check: jwt},
		{ID: "connection-string", Regex: `(?i)(?:postgres(?:ql)?(?:\+\w+)?|mysql(?:\+\w+)?|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|clickhouse|ftps?|sftp|ssh|ldaps?|smtps?|https?)://[^\s:@/"'<>]{0,64}:([^\s@/"'<>]{6,128})@[\w.\[-]`, Keywords: []string{"://"}, check: realPassword},
		{ID: "wireguard-key", Regex: `(?i)(?:PrivateKey|PresharedKey)\s{0,3}=\s{0,3}([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)`, Entropy: 4, Keywords: []string{"privatekey", "presharedkey"}},
		{ID: "nats-seed", Regex: `\bS[UAONC][A-Z2-7]{56}\b`, Entropy: 3.9, Keywords: []string{"nkey", "nats"}, check: nkey},
		{ID: "connection-password", Regex: `(?i)(?:jdbc:[a-z0-9]+:|server=|data source=|host=|driver=)(?: ?[^\s"'<>]){0,200}[;?& ](?:password|pwd)\s?=\s?([^;&\s"'<>]{6,})`, Keywords: []string{"jdbc:", "server=", "data source=", "host=", "driver="}, check: realPassword},
		{ID: "netrc-password", Regex: `\bmachine\s+\S{3,80}\s+login\s+\S{1,80}\s+password\s+(\S{6,})`, Keywords: []string{"machine"}, check: realPassword},
		{ID: "docker-auth", Regex: `"auth"\s*:\s*"([A-Za-z0-9+/]{16,}={0,2})"`, Keywords: []string{`"auth"`}, check: userAndPassword},
		{ID: "password-hash", Regex: `\$(?:2[aby]\$\d\d\$[./A-Za-z0-9]{53}|6\$(?:rounds=\d+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}|y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}|argon2(?:id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]{20,})`, Keywords: []string{"$2a$", "$2b$", "$2y$", "$6$", "$y$", "$argon2"}},
	}
}

// money is what can be spent by whoever knows it.
func money() []*Rule {
	return []*Rule{
		{ID: "bip32-key", Regex: `[xyz]prv[1-9A-HJ-NP-Za-km-z]{107}`, Keywords: []string{"prv"}, check: base58Check},
		{ID: "ethereum-key", Regex: `(?i)(?:private|eth|wallet|secret)[\w ]{0,20}["']?\s{0,3}[:=]\s{0,3}["']?(?:0x)?([0-9a-f]{64})(?:[^0-9a-f]|$)`, Entropy: 3, Keywords: []string{"private", "wallet", "eth_"}},
		{ID: "bitcoin-key", Regex: `(?:^|[^A-Za-z0-9])([5KL][1-9A-HJ-NP-Za-km-z]{50,51}|6P[1-9A-HJ-NP-Za-km-z]{56})(?:[^A-Za-z0-9]|$)`, Keywords: []string{"wif", "bitcoin", "btc", "wallet", "privkey", "private", "importprivkey", "bip38", "dumpprivkey"}, check: base58Check},
		{ID: "nostr-key", Regex: `\bnsec1[02-9ac-hj-np-z]{58}\b`, Keywords: []string{"nsec1"}, check: bech32},
		{ID: "stellar-seed", Regex: `\bS[A-Z2-7]{55}\b`, Entropy: 3.9, Keywords: []string{"stellar", "xlm", "secret", "seed"}, check: strKey},
		{ID: "cardano-key", Regex: `\b(?:root|acct|addr|stake|ed25519e?)_x?sk1[02-9ac-hj-np-z]{58,}`, Keywords: []string{"_xsk1", "_sk1"}},
		{ID: "ripple-seed", Regex: `(?i:xrp|ripple|seed|secret)[^A-Za-z0-9]{1,6}(s[1-9A-HJ-NP-Za-km-z]{28})(?:[^A-Za-z0-9]|$)`, Entropy: 3.5, Keywords: []string{"xrp", "ripple"}},
		{ID: "solana-key", Regex: `(?i)(?:solana|phantom|keypair|private)[\w ]{0,20}["']?\s{0,3}[:=]\s{0,3}["']?([1-9A-HJ-NP-Za-km-z]{86,88})(?:[^1-9A-HJ-NP-Za-km-z]|$)`, Entropy: 4.5, Keywords: []string{"solana", "phantom", "keypair", "private"}},
		{ID: "card-number", Regex: `(?i)(?:card|visa|amex|pan\b|mastercard|maestro|ccnum|cc_|cvv|cvc|credit|debit|payment|expir)[^0-9]{0,40}((?:\d[ -]?){12,18}\d)(?:\D|$)`, Keywords: []string{"card", "visa", "amex", "ccnum", "cc_n", "cvv", "cvc", "credit", "debit", "payment", "expir"}, check: cardNumber},
		{ID: "card-with-code", Regex: `(?i)(?:^|\D)((?:\d[ -]?){12,18}\d)\D{1,40}(?:cvv|cvc|cvn|security code)`, Keywords: []string{"cvv", "cvc", "cvn", "security code"}, check: cardNumber},
		{ID: "iban", Regex: `(?i)(?:iban|account|konto|bank|sepa|bic|swift|transfer|payee)[^A-Z0-9]{0,20}(?:(?:no|nr|number|is|to)[^A-Z0-9]{1,6})?([A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})`, Keywords: []string{"iban", "account", "konto", "bank", "sepa", "swift", "transfer", "payee"}, check: iban},
	}
}

// keyBlock reports whether a block holds a key, not a row of placeholders.
func keyBlock(block []byte) bool {
	body := bytes.TrimPrefix(block, []byte("-----BEGIN"))
	if _, after, ok := bytes.Cut(body, []byte("-----")); ok {
		body = after
	}
	if before, _, ok := bytes.Cut(body, []byte("-----")); ok {
		body = before
	}
	var seen [256]bool
	kinds := 0
	for _, b := range body {
		if !seen[b] {
			seen[b] = true
			kinds++
		}
	}
	return kinds >= 16
}
