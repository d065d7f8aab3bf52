// Package dlp finds secrets in what leaves a bottle: in plain text, in any stacking of the usual
// encodings and compressions, in parts, and across every boundary of a stream.
//
// Its one rule: what it could not look at to the end counts as found.
package dlp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/bot-bottle/internal/secret"
	"github.com/bot-bottle/bot-bottle/internal/service/dlp/rules"
)

// Known is a secret of this bottle. Name goes into findings, Value never does.
type Known struct {
	Name   string
	Value  secret.String
	Canary bool
}

// Detectors choose what is looked for.
type Detectors struct {
	Patterns, Known, Entropy bool
	// Allow, which may be nil, says of a finding that it is none.
	Allow func(Finding) bool
	// Pieces, which may be nil, remembers what is too short to be told by itself.
	Pieces *Memory
}

// Finding says what was found where, without the secret.
type Finding struct {
	Rule string `json:"rule"`
	// Place is "body", "path", "header X-Name" and the like.
	Place string `json:"place"`
	// Steps are the decodings, outermost first, that led to it.
	Steps  []string `json:"steps,omitempty"`
	Offset int64    `json:"offset"` // of what held it, in the place's own bytes
	Span   int      `json:"span"`   // bytes there
	Length int      `json:"length"` // of the secret itself
	// Fingerprint is the same for the same secret under one key and tells nothing of it.
	Fingerprint string `json:"fingerprint"`
}

// Limits are the findings that say that a limit ended the search, not a detector.
const (
	RuleDepth  = "limit-depth"  // encodings nested deeper than is followed
	RuleWork   = "limit-work"   // decoded output out of proportion
	RuleBroken = "limit-broken" // compressed data that cannot be read to its end
)

// Limit says in words which limit a rule is the finding of; ok is false for any other rule.
func Limit(rule string) (text string, ok bool) {
	switch rule {
	case RuleDepth:
		return fmt.Sprintf("encodings are nested deeper than %d, or archives than %d, so it was not looked at to the end", maxDepth, maxUnpacks), true
	case RuleWork:
		return "it unpacks or decodes to more than is looked at", true
	case RuleBroken:
		return "it says that it is compressed, and cannot be unpacked to its end", true
	}
	return "", false
}

// Engine is safe for concurrent use. It does its costly set-up when first used, or in Warm.
type Engine struct {
	known []Known
	key   [32]byte
	table func() *tables
	lower func() *Engine // knows the secrets as a name's labels can carry them

	rules  func() []*rules.Rule
	bare   func() *tables
	orders func() *orders
}

type tables struct {
	fold    *[256]uint8
	grams   grams  // every pattern, with those of text that was turned
	calm    sparse // those that count where nothing looks drawn
	leaf    grams  // those that count in text that is not turned or decoded any more
	steps   steps  // the same
	rules   []*rules.Rule
	secrets []knownIndex
	words   *rules.Words
}

// New returns an engine that knows the given secrets and has a key of its own. It is cheap.
func New(known []Known) *Engine {
	var key [32]byte
	_, _ = rand.Read(key[:])
	return Keyed(known, key[:])
}

// Keyed returns an engine whose fingerprints are those of every engine with the same key.
func Keyed(known []Known, key []byte) *Engine {
	e := &Engine{known: slices.Clone(known), key: sha256.Sum256(key)}
	e.rules = sync.OnceValue(rules.All)
	e.table = sync.OnceValue(e.build)
	e.lower = sync.OnceValue(e.lowered)
	e.bare = sync.OnceValue(e.bareTables)
	e.orders = sync.OnceValue(newOrders)
	return e
}

// Warm does the set-up now, so that the first request need not wait for it.
func (e *Engine) Warm() {
	e.table()
	e.lower().table()
}

func (e *Engine) fingerprint(value []byte) string {
	mac := hmac.New(sha256.New, e.key[:])
	mac.Write(value)
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

type ruleHit struct {
	rule *rules.Rule
	turn turn
	size int
	// opposite is the keyword with each letter in the other case, where the rule minds it.
	opposite string
}

// turn is how text was turned before it was sent.
type turn uint8

const (
	straight turn = iota
	reversed
	rotated
	swapped // a letter's case
)

func (t turn) String() string { return [...]string{"", "reversed", "rot13", "swapped case"}[t] }

func (t turn) apply(p []byte) []byte {
	out := slices.Clone(p)
	switch t {
	case reversed:
		slices.Reverse(out)
	case rotated:
		for i, b := range out {
			out[i] = rot13(b)
		}
	case swapped:
		for i, b := range out {
			out[i] = swapCase(b)
		}
	}
	return out
}

func swapCase(b byte) byte {
	if b|0x20 >= 'a' && b|0x20 <= 'z' {
		return b ^ 0x20
	}
	return b
}

func rot13(b byte) byte {
	switch {
	case b >= 'a' && b <= 'z':
		return 'a' + (b-'a'+13)%26
	case b >= 'A' && b <= 'Z':
		return 'A' + (b-'A'+13)%26
	}
	return b
}

func (e *Engine) build() *tables {
	t := &tables{fold: foldTable(), rules: e.rules(), words: rules.Phrases()}
	for _, r := range t.rules {
		for _, k := range r.Keywords {
			add := func(text string, hit ruleHit) {
				t.grams.add(text, hit)
				if r.Short && r.Digits == 0 {
					t.calm.add(text, hit)
				}
			}
			add(k, ruleHit{r, straight, len(k), r.Opposite(k)})
			if !r.Generic && !r.Weak {
				t.leaf.add(k, ruleHit{r, straight, len(k), ""})
				if r.Dotted { // two letters make many steps; a token's head begins with a brace and a quote
					k += "j"
				}
				t.steps.add(k, ruleHit{r, straight, len(k), ""})
			}
			if r.Generic || len(k) < 3 || len(k) == 3 && !strings.ContainsAny(k, "_-.") && !r.Dotted && !r.URL {
				continue
			}
			if mirrored := string(reversed.apply([]byte(k))); mirrored != k {
				add(mirrored, ruleHit{r, reversed, len(k), ""})
			}
			if turned := string(rotated.apply([]byte(k))); turned != k || r.URL { // signs alone stay as they are
				add(turned, ruleHit{r, rotated, len(k), ""})
			}
		}
	}
	for _, k := range e.known {
		if index, ok := newKnown(k); ok {
			t.secrets = append(t.secrets, index)
			index.anchors(t, len(t.secrets)-1)
		}
	}
	return t
}

// Names joins the rules of findings, each once.
func Names(found []Finding) string {
	var names []string
	for _, f := range found {
		if !slices.Contains(names, f.Rule) {
			names = append(names, f.Rule)
		}
	}
	return strings.Join(names, ", ")
}
