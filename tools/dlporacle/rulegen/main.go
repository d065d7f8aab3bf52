// Command rulegen writes gitleaks' default rules (MIT) as the JSON that internal/service/dlp
// embeds. Rules that look at file names are left out: what leaves a bottle has none.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
)

type allow struct {
	Target    string   `json:"target,omitempty"`
	Regexes   []string `json:"regexes,omitempty"`
	Stopwords []string `json:"stopwords,omitempty"`
}

type rule struct {
	ID       string   `json:"id"`
	Regex    string   `json:"regex"`
	Entropy  float64  `json:"entropy,omitempty"`
	Group    int      `json:"group,omitempty"`
	Keywords []string `json:"keywords"`
	Allow    []allow  `json:"allow,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rulegen:", err)
		os.Exit(1)
	}
}

func run() error {
	viper.SetConfigType("toml")
	if err := viper.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return err
	}
	var vc config.ViperConfig
	if err := viper.Unmarshal(&vc); err != nil {
		return err
	}
	cfg, err := vc.Translate()
	if err != nil {
		return err
	}
	out := struct {
		Allow []allow `json:"allow"`
		Rules []rule  `json:"rules"`
	}{Allow: allowlists(cfg.Allowlists)}
	for _, id := range cfg.OrderedRules {
		r := cfg.Rules[id]
		if r.Regex == nil || r.Path != nil {
			continue
		}
		out.Rules = append(out.Rules, rule{r.RuleID, r.Regex.String(), r.Entropy, r.SecretGroup, slices.Clone(r.Keywords), allowlists(r.Allowlists)})
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func allowlists(from []*config.Allowlist) (out []allow) {
	for _, a := range from {
		if a.MatchCondition == config.AllowlistMatchAnd && len(a.Paths) > 0 {
			continue
		}
		x := allow{Target: a.RegexTarget, Stopwords: slices.Clone(a.StopWords)}
		for _, re := range a.Regexes {
			x.Regexes = append(x.Regexes, re.String())
		}
		if len(x.Regexes)+len(x.Stopwords) > 0 {
			out = append(out, x)
		}
	}
	return out
}
