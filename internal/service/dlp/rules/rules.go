// Package rules knows what secrets look like: gitleaks' maintained rules, and ours for what
// coding agents handle.
//
// Its one rule: nothing is compiled before its keyword was seen.
package rules

import (
	_ "embed"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed gitleaks.json
var gitleaks []byte

// Rule finds one kind of secret in plain text.
type Rule struct {
	ID       string   `json:"id"`
	Regex    string   `json:"regex"`
	Entropy  float64  `json:"entropy"`
	Group    int      `json:"group"`
	Keywords []string `json:"keywords"`
	Allow    []allow  `json:"allow"`
	// Generic rules go by the words around a value, not by its form.
	Generic bool `json:"-"`

	// Short rules' secrets may be short and of one kind of letter. The end of a Long one may be
	// kilobytes away from its beginning.
	Short, Long bool `json:"-"`
	// Digits is how many digits at least stand by the keyword of what is a number.
	Digits int `json:"-"`
	// Weak rules go by a word that stands in any hash: a guess must not lead to them.
	Weak bool `json:"-"`
	// Named rules find what a name is given as its value. Distinct ones go by a mark that no word has.
	Named, Distinct bool `json:"-"`
	// Operated rules want an operator behind a name that begins with, or near, a keyword.
	Operated bool `json:"-"`
	// Glued rules' secrets begin with a keyword, or nearly so.
	Glued bool `json:"-"`
	// Spelled rules' secrets may come about of words in capitals that are put together.
	Spelled bool `json:"-"`
	// Dotted rules' secrets go on behind a dot. URL rules go by what stands before a host.
	Dotted, URL bool `json:"-"`

	check   func(secret []byte) bool
	certain func(secret []byte) bool // such a one is found whatever it looks like
	compile func() *regexp.Regexp
	tail    func() *Tail
	global  []allow
}

type allow struct {
	Target    string   `json:"target"`
	Regexes   []string `json:"regexes"`
	Stopwords []string `json:"stopwords"`

	compiled func() []*regexp.Regexp
}

// All returns every rule. It parses the rule file; callers keep the result.
func All() []*Rule {
	var file struct {
		Allow []allow `json:"allow"`
		Rules []*Rule `json:"rules"`
	}
	if err := json.Unmarshal(gitleaks, &file); err != nil {
		panic("dlp/rules: the embedded rules are broken: " + err.Error())
	}
	prepare(file.Allow)
	all := append(own(), file.Rules...)
	for _, r := range all {
		r.compile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(r.Regex) })
		r.tail = sync.OnceValue(r.findTail)
		r.describe()
		r.global = file.Allow
		prepare(r.Allow)
	}
	return all
}

// describe says what follows from a rule's name and form.
func (r *Rule) describe() {
	r.Generic = r.ID == "generic-api-key"
	r.Short = strings.HasPrefix(r.ID, "curl-") || r.ID == "connection-string" || strings.HasPrefix(r.ID, "card-") || r.ID == "iban" || r.ID == "netrc-password" || r.ID == "docker-auth" || r.ID == "linkedin-client-id" || strings.Contains(r.ID, "password")
	r.Long = strings.HasPrefix(r.ID, "jwt") || r.ID == "json-web-token" || strings.HasPrefix(r.ID, "private-key")
	if strings.HasPrefix(r.ID, "card-") || r.ID == "iban" {
		r.Digits = 11
	}
	r.Weak = slices.ContainsFunc(r.Keywords, func(k string) bool { return strings.Trim(k, "0123456789abcdef") == "" })
	r.Named = r.Generic || strings.Contains(r.Regex, "(?:=|>|") || strings.Contains(r.Regex, "[:=]") || strings.Contains(r.Regex, `\s*=`) || strings.HasPrefix(r.ID, "curl-")
	r.Operated = strings.Contains(r.Regex, `(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)`)
	r.Distinct = !slices.ContainsFunc(r.Keywords, func(k string) bool { return len(k) < 3 || !strings.ContainsAny(k, "_-.") })
	r.Glued = !r.Named && !r.Short && (r.Distinct || !slices.ContainsFunc(r.Keywords, func(k string) bool { return len(k) > 4 }))
	r.Dotted = r.ID == "jwt" || r.ID == "json-web-token"
	r.URL = r.ID == "connection-string"
	r.Spelled = r.ID == "aws-key-id" || r.ID == "aws-access-token"
}

// Checked reports whether a secret is one by more than its looks: by a checksum, or by what it decodes to.
func (r *Rule) Checked(secret []byte) bool {
	return r.check != nil || r.certain != nil && r.certain(secret)
}

// Opposite is a keyword of the rule with each letter in the other case than that in which its secrets have
// it, or "" where either will do.
func (r *Rule) Opposite(keyword string) string {
	if !r.Glued || len(keyword) < 4 || strings.Contains(r.Regex, "(?i") {
		return ""
	}
	at := strings.Index(strings.ToLower(r.Regex), keyword)
	if at < 0 {
		return ""
	}
	out := []byte(r.Regex[at : at+len(keyword)])
	letters := 0
	for i, b := range out {
		if b|0x20 >= 'a' && b|0x20 <= 'z' {
			out[i] = b ^ 0x20
			letters++
		}
	}
	if letters < 2 {
		return ""
	}
	return string(out)
}

func prepare(lists []allow) {
	for i := range lists {
		texts := lists[i].Regexes
		lists[i].compiled = sync.OnceValue(func() []*regexp.Regexp {
			out := make([]*regexp.Regexp, len(texts))
			for i, text := range texts {
				out[i] = regexp.MustCompile(text)
			}
			return out
		})
	}
}

// Find calls found with each match in text and the secret within it. It reports whether a match
// touched the end of text, so that more text could change it.
func (r *Rule) Find(text []byte, found func(lo, hi int)) (touched bool) {
	for _, m := range r.compile().FindAllSubmatchIndex(text, -1) {
		if m[1] == len(text) {
			touched = true
		}
		lo, hi := m[0], m[1]
		if r.Group > 0 && 2*r.Group+1 < len(m) && m[2*r.Group] >= 0 {
			lo, hi = m[2*r.Group], m[2*r.Group+1]
		} else {
			for g := 2; g+1 < len(m); g += 2 {
				if m[g+1] > m[g] {
					lo, hi = m[g], m[g+1]
					break
				}
			}
		}
		secret := text[lo:hi]
		if Documented(plainNumber(secret)) {
			continue
		}
		if r.certain != nil && r.certain(secret) {
			found(lo, hi)
			continue
		}
		if r.Entropy > 0 && Entropy(secret) <= r.Entropy || r.check != nil && !r.check(secret) || Example(secret) {
			continue
		}
		if allowed(r.global, text, m, secret) || allowed(r.Allow, text, m, secret) {
			continue
		}
		found(lo, hi)
	}
	return touched
}

func allowed(lists []allow, text []byte, m []int, secret []byte) bool {
	for i := range lists {
		target := secret
		switch lists[i].Target {
		case "match":
			target = text[m[0]:m[1]]
		case "line":
			lo, hi := m[0], m[1]
			for lo > 0 && text[lo-1] != '\n' {
				lo--
			}
			for hi < len(text) && text[hi] != '\n' {
				hi++
			}
			target = text[lo:hi]
		}
		for _, re := range lists[i].compiled() {
			if re.Match(target) {
				return true
			}
		}
		if len(lists[i].Stopwords) > 0 {
			low := strings.ToLower(string(secret))
			for _, word := range lists[i].Stopwords {
				if strings.Contains(low, word) {
					return true
				}
			}
		}
	}
	return false
}

// Entropy is Shannon's, in bits per byte.
func Entropy(p []byte) float64 {
	var count [256]int
	for _, b := range p {
		count[b]++
	}
	var sum float64
	for _, n := range &count {
		if n > 0 {
			f := float64(n) / float64(len(p))
			sum -= f * math.Log2(f)
		}
	}
	return sum
}

// Example reports whether a value is a placeholder or a documented example.
func Example(secret []byte) bool {
	low := strings.ToLower(string(secret))
	for _, word := range []string{"example", "xxxxxx", "placeholder", "your-", "your_", "changeme", "redacted", "dummy", "1234567890abcdef1234567890abcdef", "******"} {
		if len(secret) < 128 && strings.Contains(low, word) {
			return true
		}
	}
	distinct := map[byte]bool{}
	for _, b := range secret {
		distinct[b] = true
	}
	return len(secret) >= 12 && len(distinct) < 5
}

// HighEntropy is the name of the finding that goes by randomness alone.
const HighEntropy = "high-entropy"

// Names returns the name of every rule.
func Names() []string {
	names := []string{HighEntropy, SeedPhrase, UnreadableArchive}
	for _, r := range All() {
		names = append(names, r.ID)
	}
	return names
}

// plainNumber takes the spaces and dashes out of a number that is written in groups.
func plainNumber(p []byte) []byte {
	if len(p) > 48 || p[len(p)-1] == '=' {
		return p
	}
	out := make([]byte, 0, len(p))
	for _, b := range p {
		switch {
		case b >= '0' && b <= '9', b >= 'A' && b <= 'Z':
			out = append(out, b)
		case b != ' ' && b != '-':
			return p
		}
	}
	return out
}
