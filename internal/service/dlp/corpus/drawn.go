package corpus

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/rand"
	"strings"
)

// drawn is noise in long runs, in which the marks of tokens come about by chance.
func drawn() []disguise {
	const url = alnum + "_-"
	return []disguise{
		{"random bytes as base64url", func(r *rand.Rand, _ string) string {
			return `{"d":"` + base64.RawURLEncoding.EncodeToString(noise(r, 60000)) + `"}`
		}},
		{"random bytes as base32", func(r *rand.Rand, _ string) string {
			return base32.StdEncoding.EncodeToString(noise(r, 60000))
		}},
		{"encrypted reasoning", func(r *rand.Rand, _ string) string {
			var turns []map[string]any
			for range 20 {
				turns = append(turns, map[string]any{"type": "reasoning", "id": "rs_" + letters(r, hexes, 48), "encrypted_content": "gAAAAAB" + base64.RawURLEncoding.EncodeToString(noise(r, 1500)), "summary": []any{}})
			}
			return indented(turns)
		}},
		{"digests in lines", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 800 {
				b.WriteString(base64.StdEncoding.EncodeToString(noise(r, 32)) + "\n")
			}
			return b.String()
		}},
		{"a list of identifiers", func(r *rand.Rand, _ string) string {
			var ids []string
			for range 800 {
				ids = append(ids, letters(r, url, 21))
			}
			return indented(ids)
		}},
		{"devices by their hash", func(r *rand.Rand, _ string) string {
			var b strings.Builder
			for range 200 {
				fmt.Fprintf(&b, `{"event": %q, "user": {"deviceId": "%s970%s"}}`+"\n", words[r.Intn(len(words))], letters(r, hexes, 8), letters(r, hexes[1:], 53))
			}
			return b.String()
		}},
		{"a schema's types", func(r *rand.Rand, _ string) string {
			types := map[string]any{}
			for range 20 {
				types["Cloud::"+choose(r, "Gateway", "Function", "Mesh")+"::"+choose(r, "ApiKey", "PublicKey", "SecretStore", "AccessPoint")] = letters(r, hexes, 16)
			}
			return indented(types)
		}},
		{"members of modules", func(r *rand.Rand, _ string) string {
			return "    hkey_mod = win32con\n\n    RegOpenKeyEx = win32api.RegOpenKeyEx\n    RegEnumKey = win32api.RegEnumKey\n    RegEnumValue = win32api.RegEnumValue\n" + source(r)
		}},
	}
}
