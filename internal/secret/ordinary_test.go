package secret_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bot-bottle/internal/secret"
)

func TestASettingIsToldFromASecret(t *testing.T) {
	random := strings.Join([]string{"q7Zr", "m2Xw", "9dKt"}, "")
	for _, c := range []struct {
		name, value string
		ordinary    bool
	}{
		{"NODE_ENV", "production", true}, {"LANG", "en_US.UTF-8", true}, {"HOME_DIR", "/home/someone/x9", true},
		{"API_BASE", "https://api.example.org/v1", true}, {"BIND", "10.0.0.1:8080", true}, {"N", "1234567", true},
		{"LEVEL", "debug", true}, {"TZ", "Europe/Berlin", true}, {"GOFLAGS", "-trimpath -count=1", true}, {"TAG", "camelCaseName", true},
		{"TAG", random, false}, {"DB_PASSWORD", "correcthorse", false}, {"DB_PASSWORD", "short", true},
		{"DATABASE", "postgres://app:" + random + "@db/x", false}, {"HOOK", "https://h.example/x?sig=" + random, false},
		{"GH_PAT", "abcdefgh", false}, {"X", "eyJ" + random + "." + random, false},
	} {
		if got := secret.Ordinary(c.name, secret.New(c.value)); got != c.ordinary {
			t.Errorf("%s, a value of %d bytes: ordinary is %v", c.name, len(c.value), got)
		}
	}
}
