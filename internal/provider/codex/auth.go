package codex

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"time"

	"github.com/bot-bottle/bot-bottle/internal/fault"
	"github.com/bot-bottle/bot-bottle/internal/plan"
	"github.com/bot-bottle/bot-bottle/internal/provider"
)

// signature ends each dummy token: it says what it is, and is found wherever the token goes.
func signature() string { return base64.RawURLEncoding.EncodeToString([]byte(provider.Placeholder)) }

// token is a JSON web token (RFC 7519) with the facts of a login and no signature.
func token(l provider.Login) (string, error) {
	claims := map[string]any{
		"email": "agent@bottle.invalid",
		"https://api.openai.com/auth": map[string]string{
			"chatgpt_account_id": l.Account, "chatgpt_plan_type": l.Plan, "chatgpt_user_id": "user-in-a-bottle",
		},
	}
	if !l.Expires.IsZero() {
		claims["exp"] = l.Expires.Unix()
	}
	out := ""
	for _, part := range []any{map[string]string{"alg": "none", "typ": "JWT"}, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			return "", fault.New(fault.Internal, "cannot encode a token: %w", err)
		}
		out += base64.RawURLEncoding.EncodeToString(raw) + "."
	}
	return out + signature(), nil
}

// authFile is a login of ChatGPT as the harness keeps it.
func authFile(l provider.Login) ([]plan.File, error) {
	dummy, err := token(l)
	if err != nil {
		return nil, err
	}
	content := map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil,
		"tokens": map[string]string{"id_token": dummy, "access_token": dummy, "refresh_token": provider.Placeholder, "account_id": l.Account},
	}
	if !l.Renewed.IsZero() {
		content["last_refresh"] = l.Renewed.UTC().Format(time.RFC3339Nano)
	}
	file, err := encoded(content)
	return []plan.File{file}, err
}

// keyFile is a login by API key.
func keyFile() (plan.File, error) {
	return encoded(map[string]any{"auth_mode": "apikey", "OPENAI_API_KEY": provider.Placeholder})
}

func encoded(content any) (plan.File, error) {
	raw, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return plan.File{}, fault.New(fault.Internal, "cannot encode auth.json: %w", err)
	}
	return plan.File{Path: path.Join(plan.Home, ".codex/auth.json"), Mode: 0o600, Content: string(raw) + "\n", Again: true}, nil
}
