package corpus

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand"
	"slices"
	"strings"
)

var words = strings.Fields(`the a of request function returns value when route server client token key secret auth access
	password handler test error string list map reads writes file path commit branch merge review change build
	cache config environment variable header body stream parser index length offset buffer window release notes
	please explain how this works and fix bug in module because it fails with timeout on retry after update`)

func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.Intn(len(words))])
		switch r.Intn(14) {
		case 0:
			b.WriteString(".\n")
		case 1:
			b.WriteString(", ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func uuid(r *rand.Rand) string {
	h := letters(r, hexes, 32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func indented(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ")
	return string(b)
}

func benign() []disguise {
	return []disguise{
		{"prose about secrets", func(r *rand.Rand, _ string) string { return prose(r, 2000) }},
		{"model conversation", func(r *rand.Rand, _ string) string {
			var messages []map[string]any
			for range 4 + r.Intn(5) {
				messages = append(messages, map[string]any{"role": "user", "content": []any{map[string]any{"type": "text", "text": prose(r, 300) + "\n```go\n" + source(r) + "\n```"},
					map[string]any{"type": "tool_use", "id": "toolu_01" + letters(r, alnum, 22), "name": "Read", "input": map[string]any{"file_path": "/home/node/workspace/main.go"}}}})
			}
			return indented(map[string]any{"model": "claude-sonnet-4-5-20250929", "max_tokens": 32000, "messages": messages, "metadata": map[string]any{"user_id": "user_" + letters(r, hexes, 64) + "_account__session_" + uuid(r)}})
		}},
		{"package-lock.json", func(r *rand.Rand, _ string) string {
			packages := map[string]any{}
			for range 20 {
				sum := sha512.Sum512(noise(r, 8))
				packages["node_modules/"+words[r.Intn(len(words))]+"-"+words[r.Intn(len(words))]] = map[string]any{"version": fmt.Sprintf("%d.%d.%d", r.Intn(9), r.Intn(30), r.Intn(9)),
					"resolved": "https://registry.example.org/key-value/-/key-value-1.2.3.tgz", "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
			}
			return indented(map[string]any{"lockfileVersion": 3, "packages": packages})
		}},
		{"go.sum", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 40 {
				fmt.Fprintf(&b, "github.com/%s/%s v1.%d.%d h1:%s=\n", words[r.Intn(len(words))], words[r.Intn(len(words))], r.Intn(20), r.Intn(9), base64.RawStdEncoding.EncodeToString(noise(r, 32)))
			}
			return b.String()
		}},
		{"minified JS", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 150 {
				fmt.Fprintf(&b, "function %s(e,t){return e.%s&&t.%s?%s(t,{key:%d,token:e.%s}):null}var %s=%q;", letters(r, alnum[26:52], 2), words[r.Intn(len(words))], words[r.Intn(len(words))], letters(r, alnum[:52], 1), r.Intn(999), words[r.Intn(len(words))], letters(r, alnum[:52], 2), words[r.Intn(len(words))])
			}
			return b.String()
		}},
		{"source code", func(r *rand.Rand, _ string) string { return source(r) + source(r) + source(r) }},
		{"PNG", func(r *rand.Rand, _ string) string { return picture(r) }},
		{"PNG in a data URI", func(r *rand.Rand, _ string) string {
			return wrap("data:image/png;base64," + b64(picture(r)))
		}},
		{"random bytes", func(r *rand.Rand, _ string) string { return string(noise(r, 20000)) }},
		{"random bytes as base64", func(r *rand.Rand, _ string) string { return wrap(base64.StdEncoding.EncodeToString(noise(r, 9000))) }},
		{"random bytes as hex", func(r *rand.Rand, _ string) string { return wrap(hex.EncodeToString(noise(r, 3000))) }},
		{"git pack", func(r *rand.Rand, _ string) string {
			b := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x20")
			for range 32 {
				b = append(b, 0x95, 0x0a)
				b = append(b, packedBy(zlibWriter, source(r))...)
			}
			return string(b)
		}},
		{"npm publish", func(r *rand.Rand, _ string) string {
			return indented(map[string]any{"_id": "left-pad", "name": "left-pad", "dist-tags": map[string]any{"latest": "1.0.1"},
				"_attachments": map[string]any{"left-pad-1.0.1.tgz": map[string]any{"content_type": "application/octet-stream", "data": b64(gzipped(tarred(source(r) + prose(r, 3000))))}}})
		}},
		{"UUIDs and trace ids", func(r *rand.Rand, _ string) string {
			var rows []map[string]any
			for range 30 {
				rows = append(rows, map[string]any{"id": uuid(r), "idempotency_key": uuid(r), "trace": letters(r, hexes, 32), "span": letters(r, hexes, 16), "cacheKey": letters(r, hexes, 40), "ts": 1_700_000_000_000 + r.Int63n(1e10)})
			}
			return indented(rows)
		}},
		{"git log", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 30 {
				sum := sha1.Sum(noise(r, 8))
				fmt.Fprintf(&b, "commit %x\nAuthor: Dev <dev@example.org>\nDate:   Mon Jun 3 12:%02d:01 2026 +0200\n\n    %s\n\n", sum, r.Intn(60), prose(r, 60))
			}
			return b.String()
		}},
		{"PDF", func(r *rand.Rand, _ string) string {
			return "%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n4 0 obj\n<< /Filter /FlateDecode >>\nstream\n" + packedBy(zlibWriter, "BT /F1 12 Tf ("+prose(r, 2000)+") Tj ET") + "\nendstream\nendobj\nxref\n0 5\n0000000000 65535 f \n0000000010 00000 n \ntrailer\n"
		}},
		{"CSV of numbers", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 200 {
				fmt.Fprintf(&b, "%d,%.4f,%d,%d,2026-06-%02d\n", r.Intn(1e6), r.Float64(), r.Intn(200), r.Intn(1e9), 1+r.Intn(28))
			}
			return b.String()
		}},
		{"examples and placeholders", func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("export ANTHROPIC_API_KEY=sk-%s\ncurl -H 'Authorization: Bearer $TOKEN' https://api.example.com\npostgres://user:%s@localhost:5432/db\nAWS_ACCESS_KEY_ID=AKIA%s\npassword: ${DB_PASSWORD}\napi_key = os.environ[\"API_KEY\"]\n%s",
				"ant-xxxxxxxxxxxxxxxxxxxxxxxxxxxx", "password", "IOSFODNN7EXAMPLE", prose(r, 200))
		}},
		{"unicode prose", func(r *rand.Rand, _ string) string {
			return strings.Repeat("Приветствую вас, это обычный текст о файлах и ключах. 这是关于令牌和密钥的普通文本。 Größe, façade, naïve café — “quotes” … ", 3+r.Intn(5)) + prose(r, 200)
		}},
		{"JSON-RPC", func(r *rand.Rand, _ string) string {
			return indented(map[string]any{"jsonrpc": "2.0", "id": r.Intn(1e4), "method": "tools/call", "params": map[string]any{"name": "search", "arguments": map[string]any{"query": prose(r, 80), "cursor": base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"offset":%d,"limit":50}`, r.Intn(1e6))))}}})
		}},
		{"Kubernetes and CI files", func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("env:\n  - name: API_TOKEN\n    valueFrom: {secretKeyRef: {name: app, key: api-token}}\nimage: ghcr.io/acme/app@sha256:%s\nsteps:\n  - uses: actions/checkout@%s\n    with: {token: '${{ secrets.GITHUB_TOKEN }}'}\n%s", letters(r, hexes, 64), letters(r, hexes, 40), prose(r, 300))
		}},
	}
}

func picture(r *rand.Rand) string {
	m := image.NewRGBA(image.Rect(0, 0, 48, 48))
	for i := range 48 * 48 {
		m.Set(i%48, i/48, color.RGBA{uint8(r.Intn(256)), uint8(i), uint8(i / 48), 255})
	}
	var b bytes.Buffer
	_ = png.Encode(&b, m)
	return b.String()
}

func source(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\n")
	for range 6 {
		a, c := words[r.Intn(len(words))], words[r.Intn(len(words))]
		fmt.Fprintf(&b, "// %s%s %s\nfunc %s%d(key, token string) (string, error) {\n\ttoken = os.Getenv(\"API_TOKEN_%d\")\n\tif key := lookup[%d].Key2; key != \"\" {\n\t\treturn fmt.Sprintf(\"%%s:%%d\", key, %d), nil\n\t}\n\tauth := client.NewAuth2Provider(ctx, config.Token)\n\treturn auth.%s(token[%d:]), nil\n}\n\n", a, c, prose(r, 50), a, r.Intn(99), r.Intn(9), r.Intn(9), r.Intn(1e6), c, r.Intn(20))
	}
	return b.String()
}

// Benign returns n bodies of each class without any secret.
func Benign(seed int64, n int) []Case {
	r := rand.New(rand.NewSource(seed))
	var out []Case
	for _, d := range slices.Concat(benign(), documents(), drawn()) {
		for range n {
			out = append(out, Case{Class: d.class, Body: []byte(d.do(r, ""))})
		}
	}
	return out
}

func zlibWriter(w *bytes.Buffer) writer { return zlib.NewWriter(w) }
