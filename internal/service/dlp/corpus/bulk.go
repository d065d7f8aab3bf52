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
				strings.ReplaceAll(passage(r, 120), "\n", `\n`), words[r.Intn(len(words))], r.Intn(90), words[r.Intn(len(words))], 1<<r.Intn(12))
		}
		return []byte(b.String()[:n])
	}
	return []byte(passage(r, n)[:n])
}

// passage is prose in which no dozen words in a row are drawn from a list: one dozen in sixteen of
// those is a recovery phrase by its checksum.
func passage(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(prose(r, 50) + "and of the ")
	}
	return b.String()
}
