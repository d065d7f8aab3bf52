package login

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/provider"
	"github.com/bot-bottle/bot-bottle/internal/secret"
)

// codexFormat is Codex's auth.json: tokens of ChatGPT, or an API key.
func codexFormat() Format {
	return Format{
		Name: "codex", Issuer: "auth.openai.com", tokenPath: "/oauth/token", client: "app_EMoamEEZ73f0CkXaXp7hrann",
		folder: ".codex", folderVar: "CODEX_HOME", file: "auth.json",
		logIn:   "run codex login on this host (with cli_auth_credentials_store = \"file\" in ~/.codex/config.toml)",
		instead: "set agent_provider.auth_token: OPENAI_API_KEY, and export that variable",
		decode:  decodeCodex, merge: mergeCodex,
	}
}

// claudeFormat is Claude Code's .credentials.json.
func claudeFormat() Format {
	return Format{
		Name: "claude", Issuer: "platform.claude.com", tokenPath: "/v1/oauth/token", client: "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
		folder: ".claude", folderVar: "CLAUDE_CONFIG_DIR", file: ".credentials.json",
		logIn:   "run claude on this host and log in with /login",
		instead: "set agent_provider.auth_token to a variable with a token of claude setup-token, or to ANTHROPIC_API_KEY",
		decode:  decodeClaude, merge: mergeClaude,
	}
}

// answer is what an issuer says; absent fields stay as they were.
type answer struct {
	IDToken      string  `json:"id_token"`
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	ExpiresIn    float64 `json:"expires_in"`
}

type codexFile struct {
	Mode   string          `json:"auth_mode"`
	APIKey string          `json:"OPENAI_API_KEY"`
	Tokens json.RawMessage `json:"tokens"`
	Last   time.Time       `json:"last_refresh"`
}

type codexTokens struct {
	ID      string `json:"id_token"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Account string `json:"account_id"`
}

// claims are those of a token that a bottle may know.
type claims struct {
	Expires int64 `json:"exp"`
	Auth    struct {
		Account string `json:"chatgpt_account_id"`
		Plan    string `json:"chatgpt_plan_type"`
	} `json:"https://api.openai.com/auth"`
}

func decodeCodex(raw []byte) (Login, error) {
	var f codexFile
	if json.Unmarshal(raw, &f) != nil {
		return Login{}, errBroken
	}
	var t codexTokens
	if len(f.Tokens) > 0 && json.Unmarshal(f.Tokens, &t) != nil {
		return Login{}, errBroken
	}
	if t.Access == "" {
		if f.APIKey != "" {
			return Login{}, errAPIKey
		}
		return Login{}, errBroken
	}
	access, ok := claimsOf(t.Access)
	if !ok || !oneLine(t.Access) {
		return Login{}, errBroken
	}
	id, _ := claimsOf(t.ID)
	l := Login{Access: secret.New(t.Access), Refresh: secret.New(t.Refresh)}
	l.Login = provider.Login{
		Renewable: t.Refresh != "", Renewed: f.Last.UTC(),
		Account: first(t.Account, id.Auth.Account, access.Auth.Account), Plan: first(id.Auth.Plan, access.Auth.Plan),
	}
	if access.Expires > 0 {
		l.Expires = time.Unix(access.Expires, 0).UTC()
	}
	return l, nil
}

func mergeCodex(raw []byte, a answer, now time.Time) ([]byte, error) {
	return merge(raw, "tokens", map[string]any{"id_token": a.IDToken, "access_token": a.AccessToken, "refresh_token": a.RefreshToken},
		map[string]any{"last_refresh": now.UTC().Format(time.RFC3339Nano)})
}

func decodeClaude(raw []byte) (Login, error) {
	var f struct {
		OAuth *struct {
			Access  string `json:"accessToken"`
			Refresh string `json:"refreshToken"`
			Expires int64  `json:"expiresAt"` // milliseconds
			Plan    string `json:"subscriptionType"`
		} `json:"claudeAiOauth"`
	}
	if json.Unmarshal(raw, &f) != nil || f.OAuth == nil || f.OAuth.Access == "" || !oneLine(f.OAuth.Access) {
		return Login{}, errBroken
	}
	l := Login{Access: secret.New(f.OAuth.Access), Refresh: secret.New(f.OAuth.Refresh)}
	l.Login = provider.Login{Renewable: f.OAuth.Refresh != "", Plan: f.OAuth.Plan}
	if f.OAuth.Expires > 0 {
		l.Expires = time.UnixMilli(f.OAuth.Expires).UTC()
	}
	return l, nil
}

func mergeClaude(raw []byte, a answer, now time.Time) ([]byte, error) {
	fields := map[string]any{"accessToken": a.AccessToken, "refreshToken": a.RefreshToken}
	if a.ExpiresIn > 0 {
		fields["expiresAt"] = now.Add(time.Duration(a.ExpiresIn * float64(time.Second))).UnixMilli()
	}
	return merge(raw, "claudeAiOauth", fields, nil)
}

// merge puts fields into an object of a document and leaves everything else as it was. Empty texts
// change nothing.
func merge(raw []byte, object string, fields, top map[string]any) ([]byte, error) {
	var document, inner map[string]json.RawMessage
	if json.Unmarshal(raw, &document) != nil || json.Unmarshal(document[object], &inner) != nil {
		return nil, errBroken
	}
	put := func(into map[string]json.RawMessage, values map[string]any) error {
		for name, value := range values {
			if value == "" {
				continue
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				return err
			}
			into[name] = encoded
		}
		return nil
	}
	if err := put(inner, fields); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(inner)
	if err != nil {
		return nil, err
	}
	document[object] = encoded
	if err := put(document, top); err != nil {
		return nil, err
	}
	return json.MarshalIndent(document, "", "  ")
}

// claimsOf reads the claims of a JSON web token (RFC 7519); nobody here relies on its signature.
func claimsOf(token string) (claims, bool) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	return c, err == nil && json.Unmarshal(payload, &c) == nil
}

func oneLine(s string) bool { return !strings.ContainsAny(s, "\x00\r\n") }

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
