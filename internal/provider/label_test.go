package provider_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/provider"
)

func TestALabelFitsOnALine(t *testing.T) {
	for label, valid := range map[string]bool{
		"": true, "nightly": true, "night shift": true, "über 4 Ecken": true, "夜間": true, strings.Repeat("é", provider.MaxLabel): true,
		strings.Repeat("é", provider.MaxLabel+1): false, "a\x1b[2J": false, "two\nlines": false, "a\ttab": false, "null\x00": false,
		"bad\xff": false, "\u202eright to left": false, "zero\u200bwidth": false, "line\u2028separator": false,
	} {
		if got := provider.ValidLabel(label); got != valid {
			t.Errorf("%q: %v", label, got)
		}
	}
}

func TestAColourIsANumberOfTheTerminals(t *testing.T) {
	for color, want := range map[string]string{
		"red": "31", "#ff8800": "38;2;255;136;0", "#000000": "38;2;0;0;0", "": "", "reddish": "", "#ff880": "", "#ff88000": "", "#gg8800": "", "0;31m": "", "#+f8800": "",
	} {
		if got := provider.ColorCode(color); got != want {
			t.Errorf("%q: %q, want %q", color, got, want)
		}
	}
	for _, name := range provider.Colors() {
		if provider.ColorCode(name) == "" {
			t.Errorf("%s is no colour", name)
		}
	}
}
