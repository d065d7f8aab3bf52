package dlp

import (
	"regexp"
	"slices"
	"sync"
)

// cue is a word that stands in text which tries to give an agent orders, and what has to stand
// around it.
type cue struct {
	rule  string
	words []string
	like  string
	re    func() *regexp.Regexp
}

// cues are compiled when their word is first seen.
func cues() []cue {
	all := []cue{
		{
			rule:  "injection-override",
			words: []string{"ignore", "disregard", "forget", "override", "bypass", "neglect"},
			like: `(?:ignore|disregard|forget|override|bypass|neglect)(?:ing)?\b[^.]{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|your|system|these|those|original|existing)\b[^.]{0,30}` +
				`\b(?:instructions?|prompts?|directives?|guidelines|guardrails|safety rules|rules you|commands? you)`,
		},
		{
			rule:  "injection-instructions",
			words: []string{"instructions", "instruction:"},
			like: `\b(?:new|updated|revised|real|actual|secret|hidden) (?:system )?instructions?(?: (?:for|to) (?:you|the (?:ai|assistant|model|agent|llm)))? ?:` +
				`|(?:important |urgent )?instructions? (?:for|to) (?:the |any |all )?(?:ai|llm|language model|coding)s? ?(?:assistants?|agents?|models?)?\b`,
		},
		{
			rule:  "injection-markup",
			words: []string{"<|im_start", "<|system", "[inst]", "<<sys>>", "<|start_header", "<system>", "<system-reminder>"},
			like:  `<\|im_start\|>|<\|system\|>|\[inst\]|<<sys>>|<\|start_header_id\|>|<system>[^<]{0,200}\byou\b|<system-reminder>`,
		},
		{
			rule:  "injection-role",
			words: []string{"you are now", "you are no longer", "from now on", "developer mode", "act as if you"},
			like: `you are now (?:in |a |an |the )?(?:dan\b|developer mode|jailbroken|unrestricted|free from|root|admin)|you are no longer (?:bound|restricted|limited|an ai|claude|codex|chatgpt)` +
				`|from now on,? (?:you|your) (?:are|will|must|only|should|new|task|goal)|(?:enter|enable|activate) developer mode|act as if you (?:have|had) no (?:restrictions|rules|guidelines)`,
		},
		{
			rule:  "injection-secrecy",
			words: []string{"not tell", "n't tell", "not inform", "n't inform", "not mention", "n't mention", "not alert", "not reveal", "not notify", "without telling", "without informing", "without asking", "without notifying", "without alerting"},
			like: `(?:not|n't|never) (?:tell|inform|mention|alert|reveal|notify)\b[^.]{0,40}\b(?:the )?(?:user|human|operator|developer)s?\b` +
				`|without (?:telling|informing|asking|notifying|alerting) (?:the )?(?:user|human|operator|developer)s?\b`,
		},
		{
			rule:  "injection-exfiltration",
			words: []string{"id_rsa", ".ssh/", ".aws/credentials", "environment variables", "api keys", "the .env", "access token"},
			like: `\b(?:read|cat|collect|find|gather|take|include|append|encode)\b[^.]{0,60}(?:id_rsa\b|\.ssh/|\.aws/credentials|environment variables|api keys|the \.env|access tokens?)` +
				`.{0,120}\b(?:send|post|upload|curl|fetch|exfiltrate|submit|attach)\b.{0,80}(?:https?://|webhook|\bto (?:this|the following) )`,
		},
	}
	for i := range all {
		like := all[i].like
		all[i].re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(like) })
	}
	return all
}

// orders finds cues in normal text.
type orders struct {
	grams grams
	fold  *[256]uint8
}

func newOrders() *orders {
	o := &orders{fold: foldTable()}
	for _, c := range cues() {
		for _, w := range c.words {
			o.grams.add(w, c)
		}
	}
	return o
}

// find returns the rules of what text says, each once.
func (o *orders) find(text []byte) []string {
	var rules []string
	o.grams.find(text, 0, len(text), o.fold, func(at int, what any) {
		c, ok := what.(cue)
		if !ok || slices.Contains(rules, c.rule) {
			return
		}
		if c.re().Match(text[max(0, at-160):min(len(text), at+320)]) {
			rules = append(rules, c.rule)
		}
	})
	return rules
}
