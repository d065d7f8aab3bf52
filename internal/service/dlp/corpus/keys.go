package corpus

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
)

// pem is a private key as a file has it.
func pem(r *rand.Rand) string {
	kind := choose(r, "", "RSA ", "EC ", "OPENSSH ")
	body := base64.StdEncoding.EncodeToString(noise(r, 160+r.Intn(900)))
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "PRIV" + "ATE KEY-----\n")
	for ; len(body) > 64; body = body[64:] {
		b.WriteString(body[:64] + "\n")
	}
	return b.String() + body + "\n-----END " + kind + "PRIV" + "ATE KEY-----\n"
}

// account is the file of a cloud's service account.
func account(r *rand.Rand) string {
	return indented(map[string]any{
		"type": "service_account", "project_id": words[r.Intn(len(words))] + "-1", "private_key_id": letters(r, hexes, 40), "private_key": pem(r),
		"client_email": "robot@project.iam.example.com", "token_uri": "https://oauth2.example.com/token",
	})
}

// dsn is how a program is told of a database.
func dsn(r *rand.Rand) string {
	password := letters(r, alnum, 18)
	switch r.Intn(4) {
	case 0:
		return "DATABASE_URL=postgres" + "://app:" + password + "@db.internal.example:5432/app?sslmode=require"
	case 1:
		return "mongodb+srv" + "://svc:" + password + "@cluster0.example.net/prod"
	case 2:
		return "Server=tcp:sql.example.net,1433;Initial Catalog=app;User ID=svc;Pass" + "word=" + password + ";Encrypt=True;"
	}
	return "amqps" + "://worker:" + password + "@mq.example.com/vhost"
}

// wholeSecrets are secrets of forms of their own, in what they are sent in.
func wholeSecrets() []disguise {
	var out []disguise
	for _, kind := range []struct {
		name string
		make func(*rand.Rand) string
	}{{"private key", pem}, {"service account", account}, {"connection string", dsn}} {
		out = append(out,
			disguise{kind.name, func(r *rand.Rand, _ string) string { return prose(r, 200) + "\n" + kind.make(r) + prose(r, 200) }},
			disguise{kind.name + " in JSON", func(r *rand.Rand, _ string) string {
				b, _ := json.Marshal(map[string]string{"content": kind.make(r)})
				return string(b)
			}},
			disguise{kind.name + ", base64", func(r *rand.Rand, _ string) string { return wrap(b64(kind.make(r))) }},
			disguise{kind.name + ", hex", func(r *rand.Rand, _ string) string { return wrap(hex.EncodeToString([]byte(kind.make(r)))) }},
			disguise{kind.name + ", gzip in base64", func(r *rand.Rand, _ string) string { return wrap(b64(gzipped(kind.make(r)))) }},
		)
	}
	return out
}

// documents are benign texts that speak of secrets and hold none.
func documents() []disguise {
	return []disguise{
		{"documentation of a registry", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for _, host := range []string{"registry.example.org", "somewhere-else.example.com", "npm.example.net"} {
				fmt.Fprintf(&b, "; applies to @%s only\n@%s:registry=https://%s/%s\n//%s/:_auth"+"Token=MYTOKEN%d\n\n", words[r.Intn(len(words))], words[r.Intn(len(words))], host, words[r.Intn(len(words))], host, r.Intn(9))
			}
			return b.String() + prose(r, 300)
		}},
		{"documentation with an encoded phrase", func(r *rand.Rand, _ string) string {
			said := base64.StdEncoding.EncodeToString([]byte(words[r.Intn(len(words))] + ":not my real pass" + "word"))
			return "auth: '" + said + "',\n// user and password\npass" + "word: '" + said + "',\n" + prose(r, 400)
		}},
		{"release checksums", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 30 {
				sum := sha256.Sum256(noise(r, 8))
				fmt.Fprintf(&b, "%x  tool_%d.%d.%d_linux_%s.tar.gz\n", sum, r.Intn(9), r.Intn(20), r.Intn(9), choose(r, "amd64", "arm64", "386"))
			}
			return b.String()
		}},
		{"log of a build", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 40 {
				fmt.Fprintf(&b, "2026-%02d-%02dT%02d:%02d:%02d.%07dZ ##[group]Run %s/%s@v%d\n\x1b[36;1m  %s\x1b[0m sha: %s duration: %dms\n", 1+r.Intn(12), 1+r.Intn(28), r.Intn(24), r.Intn(60), r.Intn(60), r.Intn(1e7),
					words[r.Intn(len(words))], words[r.Intn(len(words))], r.Intn(6), prose(r, 30), letters(r, hexes, 40), r.Intn(9000))
			}
			return b.String()
		}},
		{"source map", func(r *rand.Rand, _ string) string {
			const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			var b strings.Builder
			for range 120 {
				b.WriteString(choose(r, "AA", "CA", "SA", "GA", "EAAE", "IAAI") + letters(r, digits[:32], 1+r.Intn(3)) + choose(r, ",", ",", ";", ";;"))
			}
			return indented(map[string]any{"version": 3, "sources": []string{"../src/" + words[r.Intn(len(words))] + ".ts"}, "names": words[:20], "mappings": b.String()})
		}},
		{"a diff", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			fmt.Fprintf(&b, "diff --git a/main.go b/main.go\nindex %s..%s 100644\n--- a/main.go\n+++ b/main.go\n@@ -1,9 +1,9 @@\n", letters(r, hexes, 10), letters(r, hexes, 10))
			for _, line := range strings.Split(source(r), "\n") {
				b.WriteString(choose(r, " ", " ", "+", "-") + line + "\n")
			}
			return b.String()
		}},
	}
}
