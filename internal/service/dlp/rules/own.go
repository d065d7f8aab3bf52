package rules

import "slices"

// own are the rules for what coding agents handle and gitleaks does not know, or knows only with
// a narrower form. Their patterns need no text after the secret where its form has an end of its
// own, so that a glued one is found.
func own() []*Rule {
	return slices.Concat(models(), clouds(), forges(), offices(), keys(), money())
}

// models are the keys of model providers and of what agents use beside them.
func models() []*Rule {
	return []*Rule{
		{ID: "anthropic-key", Regex: `sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"sk-ant-"}},
		{ID: "openai-key", Regex: `sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}`, Entropy: 3.2, Keywords: []string{"sk-proj-", "sk-svcacct-", "sk-admin-", "sk-none-"}},
		{ID: "openai-legacy-key", Regex: `sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}`, Keywords: []string{"t3blbkfj"}},
		{ID: "openrouter-key", Regex: `sk-or-v1-[a-f0-9]{40,}`, Keywords: []string{"sk-or-v1-"}},
		{ID: "groq-key", Regex: `gsk_[A-Za-z0-9]{40,}`, Entropy: 3.5, Keywords: []string{"gsk_"}},
		{ID: "xai-key", Regex: `xai-[A-Za-z0-9]{60,}`, Entropy: 3.5, Keywords: []string{"xai-"}},
		{ID: "replicate-token", Regex: `r8_[A-Za-z0-9]{37}`, Entropy: 3.5, Keywords: []string{"r8_"}},
		{ID: "perplexity-key", Regex: `pplx-[A-Za-z0-9]{40,}`, Entropy: 3.5, Keywords: []string{"pplx-"}},
		{ID: "tavily-key", Regex: `tvly-(?:dev-|prod-)?[A-Za-z0-9]{28,}`, Entropy: 3.5, Keywords: []string{"tvly-"}},
		{ID: "nvidia-key", Regex: `nvapi-[A-Za-z0-9_-]{50,}`, Entropy: 3.5, Keywords: []string{"nvapi-"}},
		{ID: "langsmith-key", Regex: `lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}`, Keywords: []string{"lsv2_"}},
		{ID: "huggingface-token", Regex: `hf_[A-Za-z0-9]{34}`, Entropy: 3.5, Keywords: []string{"hf_"}},
		{ID: "google-api-key", Regex: `AIza[A-Za-z0-9_-]{35}`, Entropy: 3.5, Keywords: []string{"aiza"}},
		{ID: "sk-key", Regex: `\bsk-[A-Za-z0-9]{32,64}\b`, Entropy: 3.5, Keywords: []string{"sk-"}},
		{ID: "langfuse-key", Regex: `sk-lf-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}`, Keywords: []string{"sk-lf-"}},
		{ID: "helicone-key", Regex: `sk-helicone-[a-z0-9-]{20,}`, Entropy: 3, Keywords: []string{"sk-helicone-"}},
		{ID: "cerebras-key", Regex: `csk-[a-z0-9]{40,}`, Entropy: 3.5, Keywords: []string{"csk-"}},
		{ID: "together-key", Regex: `tgp_v1_[A-Za-z0-9_-]{40,}`, Entropy: 3.5, Keywords: []string{"tgp_v1_"}},
		{ID: "anyscale-key", Regex: `\besecret_[A-Za-z0-9]{20,}`, Entropy: 3.2, Keywords: []string{"esecret_"}},
		{ID: "pinecone-key", Regex: `pcsk_[A-Za-z0-9_]{50,}`, Entropy: 3.5, Keywords: []string{"pcsk_"}},
		{ID: "firecrawl-key", Regex: `\bfc-[a-f0-9]{32}\b`, Entropy: 3, Keywords: []string{"fc-"}},
		{ID: "elevenlabs-key", Regex: `\bsk_[a-f0-9]{48}\b`, Entropy: 3, Keywords: []string{"sk_"}},
		{ID: "jina-key", Regex: `jina_[a-f0-9]{32}[A-Za-z0-9_-]{20,}`, Entropy: 3.5, Keywords: []string{"jina_"}},
		{ID: "e2b-key", Regex: `\be2b_[a-f0-9]{40}\b`, Entropy: 3, Keywords: []string{"e2b_"}},
		{ID: "cursor-key", Regex: `\b(?:key|crsr)_[a-f0-9]{64}\b`, Entropy: 3, Keywords: []string{"key_", "crsr_"}},
		{ID: "model-provider-key", Regex: `(?i)(?:mistral|deepseek|cohere|together|fireworks|ai21|assemblyai|deepgram|stability|azure_openai|azureopenai|wandb|voyage)[\w.-]{0,20}["']?\s{0,3}[:=]>?\s{0,3}["']?([A-Za-z0-9_-]{32,64})(?:[^A-Za-z0-9_-]|$)`, Entropy: 3.3, Keywords: []string{"mistral", "deepseek", "cohere", "together", "fireworks", "ai21", "assemblyai", "deepgram", "stability", "azure_openai", "azureopenai", "wandb", "voyage"}},
	}
}

// clouds are the keys of those who run things for others.
func clouds() []*Rule {
	return []*Rule{
		{ID: "google-oauth-token", Regex: `ya29\.[A-Za-z0-9_-]{40,}`, Entropy: 3.5, Keywords: []string{"ya29."}},
		{ID: "google-oauth-secret", Regex: `GOCSPX-[A-Za-z0-9_-]{28}`, Entropy: 3.2, Keywords: []string{"gocspx-"}},
		{ID: "aws-key-id", Regex: `(?:AKIA|ASIA)[A-Z2-7]{16}`, Entropy: 3, Keywords: []string{"akia", "asia"}},
		{ID: "aws-secret-key", Regex: `(?i:aws|secret)[\w ./"'-]{0,30}["']?\s{0,3}[:=]>?\s{0,3}["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)`, Entropy: 4.2, Keywords: []string{"aws", "secret"}},
		{ID: "azure-account-key", Regex: `(?:AccountKey|SharedAccessKey|sig)=([A-Za-z0-9+/%]{40,90}={0,2})`, Entropy: 4, Keywords: []string{"accountkey=", "sharedaccesskey="}},
		{ID: "digitalocean-token", Regex: `do[opr]_v1_[a-f0-9]{64}`, Keywords: []string{"dop_v1_", "doo_v1_", "dor_v1_"}},
		{ID: "vault-token", Regex: `hv[sb]\.[A-Za-z0-9_-]{24,}`, Entropy: 3.5, Keywords: []string{"hvs.", "hvb."}},
		{ID: "aws-session-token", Regex: `(?:FwoGZXIvYXdz|IQoJb3JpZ2lu|FQoGZXIvYXdz)[A-Za-z0-9/+=%]{80,}`, Entropy: 4, Keywords: []string{"fwogzxivyxdz", "iqojb3jpz2lu", "fqogzxivyxdz"}},
		{ID: "google-refresh-token", Regex: `\b1//0[A-Za-z0-9_-]{40,}`, Entropy: 3.5, Keywords: []string{"1//0"}},
		{ID: "azure-shared-access", Regex: `[?&]sig=([A-Za-z0-9%+/]{43,60}(?:%3[Dd]|=)?)`, Entropy: 3.8, Keywords: []string{"sig="}},
		{ID: "tencent-key-id", Regex: `\bAKID[A-Za-z0-9]{32}\b`, Entropy: 3.5, Keywords: []string{"akid"}},
		{ID: "scaleway-key", Regex: `\bSCW[A-Z0-9]{17}\b`, Entropy: 3.3, Keywords: []string{"scw"}},
		{ID: "supabase-key", Regex: `\bsbp_[a-f0-9]{40}\b|sb_secret_[A-Za-z0-9_-]{20,}`, Entropy: 3, Keywords: []string{"sbp_", "sb_secret_"}},
		{ID: "neon-key", Regex: `\bnapi_[a-z0-9]{50,}`, Entropy: 3.5, Keywords: []string{"napi_"}},
		{ID: "render-key", Regex: `\brnd_[A-Za-z0-9]{32}\b`, Entropy: 3.5, Keywords: []string{"rnd_"}},
		{ID: "netlify-key", Regex: `\bnf[pcoub]_[A-Za-z0-9]{36,}\b`, Entropy: 3.5, Keywords: []string{"nfp_", "nfc_", "nfo_", "nfu_", "nfb_"}},
		{ID: "vercel-key", Regex: `\bv(?:cp|ck|ci|cr|ca)_[A-Za-z0-9]{24,}\b`, Entropy: 3.5, Keywords: []string{"vcp_", "vck_", "vci_", "vcr_", "vca_"}},
		{ID: "tailscale-key", Regex: `tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{8,}-[A-Za-z0-9]{20,}`, Entropy: 3.2, Keywords: []string{"tskey-"}},
		{ID: "cloudinary-url", Regex: `cloudinary://\d{9,}:([A-Za-z0-9_-]{20,})@`, Entropy: 3.2, Keywords: []string{"cloudinary://"}},
	}
}
