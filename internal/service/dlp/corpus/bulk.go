package corpus

import (
	"fmt"
	"math/rand"
	"strings"
)

// Bulk is n bytes of clean traffic to measure with: "text", "JSON" or "binary".
func Bulk(kind string, n int) []byte {
	r := rand.New(rand.NewSource(1))
	switch kind {
	case "binary":
		return noise(r, n)
	case "JSON":
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, `{"role":"user","content":"%s\nThen %s","index":%d,"name":%q,"size":%d,"ok":true},`+"\n",
				strings.ReplaceAll(prose(r, 120), "\n", `\n`), words[r.Intn(len(words))], r.Intn(90), words[r.Intn(len(words))], 1<<r.Intn(12))
		}
		return []byte(b.String()[:n])
	}
	return []byte(prose(r, n)[:n])
}
