package rules

// forges are tokens of code forges and package registries.
func forges() []*Rule {
	return []*Rule{
		{ID: "github-token", Regex: `gh[pousr]_[A-Za-z0-9]{36}`, Entropy: 3.5, Keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, certain: checked62},
		{ID: "github-fine-grained", Regex: `github_pat_[A-Za-z0-9_]{36,}`, Entropy: 3.5, Keywords: []string{"github_pat_"}},
		{ID: "gitlab-token", Regex: `gl(?:pat|ptt|dt|rt|soat|cbt|ft|oas)-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"glpat-", "glptt-", "gldt-", "glrt-", "glsoat-", "glcbt-", "glft-", "gloas-"}},
		{ID: "npm-token", Regex: `npm_[A-Za-z0-9]{36}`, Entropy: 3.5, Keywords: []string{"npm_"}, certain: checked62},
		{ID: "pypi-token", Regex: `pypi-AgE[A-Za-z0-9_-]{50,}`, Entropy: 3.5, Keywords: []string{"pypi-age"}},
		{ID: "docker-token", Regex: `dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}`, Keywords: []string{"dckr_"}},
		{ID: "gitlab-more", Regex: `\bgl(?:imt|agent|wt|ffct)-[A-Za-z0-9_-]{20,}|\bGR1348941[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"glimt-", "glagent-", "glwt-", "glffct-", "gr1348941"}},
		{ID: "bitbucket-token", Regex: `\bATBB[A-Za-z0-9]{32,}\b|\bBBDC-[A-Za-z0-9+/]{40,}`, Entropy: 3.5, Keywords: []string{"atbb", "bbdc-"}},
		{ID: "atlassian-token", Regex: `\bAT[AC]TT3x[A-Za-z0-9_=-]{100,}`, Entropy: 4, Keywords: []string{"atatt3x", "atctt3x"}},
		{ID: "azure-devops-token", Regex: `\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b`, Entropy: 4, Keywords: []string{"azdo"}},
		{ID: "gitea-token", Regex: `(?i)(?:gitea|forgejo|codeberg|gogs)[\w./-]{0,30}["']?\s{0,3}[:=]>?\s{0,3}["']?([0-9a-f]{40})(?:[^0-9a-f]|$)`, Entropy: 3, Keywords: []string{"gitea", "forgejo", "codeberg", "gogs"}},
		{ID: "crates-token", Regex: `\bcio[A-Za-z0-9]{32}\b`, Entropy: 3.9, Keywords: []string{"crates", "cargo"}},
		{ID: "nuget-key", Regex: `\boy2[a-z0-9]{43}\b`, Entropy: 3.5, Keywords: []string{"oy2"}},
		{ID: "packagist-token", Regex: `packagist_[ou][ru]t_[a-f0-9]{60,}`, Entropy: 3, Keywords: []string{"packagist_"}},
		{ID: "artifactory-key", Regex: `\bAKCp[A-Za-z0-9]{60,}`, Entropy: 4, Keywords: []string{"akcp"}},
		{ID: "npmrc-token", Regex: `_authToken\s*=\s*"?([A-Za-z0-9_./+=-]{16,})`, Entropy: 3.2, Keywords: []string{"_authtoken"}},
	}
}

// offices are webhooks, and keys of what companies work with.
func offices() []*Rule {
	return []*Rule{
		{ID: "slack-token", Regex: `xox[abeoprs]-(?:\d+-)?[A-Za-z0-9-]{20,}`, Entropy: 2.8, Keywords: []string{"xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"}},
		{ID: "slack-webhook", Regex: `hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,}`, Keywords: []string{"hooks.slack.com"}},
		{ID: "discord-webhook", Regex: `discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{17,20}/[A-Za-z0-9_-]{60,}`, Keywords: []string{"/webhooks/"}},
		{ID: "telegram-token", Regex: `\d{8,10}:AA[A-Za-z0-9_-]{33}`, Entropy: 3.5, Keywords: []string{":aa"}},
		{ID: "stripe-key", Regex: `(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/]{30,}`, Entropy: 3.2, Keywords: []string{"sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_", "whsec_"}},
		{ID: "sendgrid-key", Regex: `SG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}`, Keywords: []string{"sg."}},
		{ID: "linear-key", Regex: `lin_api_[A-Za-z0-9]{40}`, Keywords: []string{"lin_api_"}},
		{ID: "teams-webhook", Regex: `[a-z0-9-]+\.webhook\.office\.com/webhookb2/[a-f0-9@-]{36,}/IncomingWebhook/[a-f0-9]{32}/[a-f0-9-]{36}`, Keywords: []string{".webhook.office.com"}},
		{ID: "flow-webhook", Regex: `(?:logic\.azure\.com|powerplatform\.com)(?::\d+)?/[^\s"']{10,200}[?&]sig=[A-Za-z0-9_-]{40,}`, Keywords: []string{"logic.azure.com", "powerplatform.com"}},
		{ID: "google-chat-webhook", Regex: `chat\.googleapis\.com/v1/spaces/[A-Za-z0-9_-]+/messages\?key=[A-Za-z0-9_-]{30,}&token=[A-Za-z0-9_%-]{30,}`, Keywords: []string{"chat.googleapis.com"}},
		{ID: "zapier-webhook", Regex: `hooks\.zapier\.com/hooks/catch/\d+/[a-z0-9]{6,}`, Keywords: []string{"hooks.zapier.com"}},
		{ID: "ifttt-webhook", Regex: `maker\.ifttt\.com/(?:use/|trigger/[\w-]+/(?:json/)?with/key/)[A-Za-z0-9_-]{20,}`, Keywords: []string{"maker.ifttt.com"}},
		{ID: "make-webhook", Regex: `hook\.[a-z0-9]+\.make\.com/[a-z0-9]{30,}`, Keywords: []string{".make.com/"}},
		{ID: "feishu-webhook", Regex: `open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/[a-f0-9-]{36}`, Keywords: []string{"/bot/v2/hook/"}},
		{ID: "dingtalk-webhook", Regex: `oapi\.dingtalk\.com/robot/send\?access_token=[a-f0-9]{64}`, Keywords: []string{"oapi.dingtalk.com"}},
		{ID: "notion-token", Regex: `\bntn_[A-Za-z0-9]{40,}\b|\bsecret_[A-Za-z0-9]{43}\b`, Entropy: 4, Keywords: []string{"ntn_", "secret_"}},
		{ID: "figma-token", Regex: `\bfig[dor]_[A-Za-z0-9_-]{36,}`, Entropy: 3.5, Keywords: []string{"figd_", "figo_", "figr_"}},
		{ID: "onepassword-token", Regex: `\bops_eyJ[A-Za-z0-9_-]{100,}`, Keywords: []string{"ops_eyj"}},
		{ID: "posthog-key", Regex: `\bphx_[A-Za-z0-9]{40,}\b`, Entropy: 3.5, Keywords: []string{"phx_"}},
		{ID: "resend-key", Regex: `\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}\b`, Entropy: 4, Keywords: []string{"resend"}},
		{ID: "square-token", Regex: `\bEAAA[A-Za-z0-9_-]{58,62}\b|\bsq0(?:csp|atp)-[A-Za-z0-9_-]{22,43}\b`, Entropy: 3.9, Keywords: []string{"eaaa", "sq0csp-", "sq0atp-"}},
		{ID: "paypal-token", Regex: `access_token\$(?:production|sandbox)\$[a-z0-9]{13,}\$[a-f0-9]{32}`, Keywords: []string{"access_token$"}},
		{ID: "razorpay-key", Regex: `\brzp_(?:live|test)_[A-Za-z0-9]{14,}\b`, Entropy: 3.2, Keywords: []string{"rzp_live_", "rzp_test_"}},
		{ID: "mapbox-secret", Regex: `\bsk\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{20,}`, Entropy: 4, Keywords: []string{"sk.eyj"}},
		{ID: "firebase-key", Regex: `\bAAAA[A-Za-z0-9_-]{7}:APA91[A-Za-z0-9_-]{130,}`, Entropy: 4, Keywords: []string{":apa91"}},
		{ID: "new-relic-key", Regex: `\bNRAK-[A-Z0-9]{27}\b`, Entropy: 3.2, Keywords: []string{"nrak-"}},
		{ID: "hubspot-token", Regex: `\bpat-(?:na|eu)\d-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}`, Keywords: []string{"pat-na", "pat-eu"}},
		{ID: "authorization-header", Regex: `(?i)authorization["']?\s{0,3}[:=]\s{0,3}["']?(?:bearer|token|basic)\s+([A-Za-z0-9._~+/=-]{20,})`, Entropy: 3.7, Keywords: []string{"authorization"}, check: opaque},
	}
}
