package offer

import "strings"

// vendor is one provider of models as the environment may know it.
type vendor struct {
	name  string // of its objects, its path on the gateway and its models' owner
	title string
	key   string // variable that holds the key
	// address is the variable by which the provider's own clients are sent
	// elsewhere; a key that is meant for another host must not go to this one.
	address string
	home    string // where it is unless address says otherwise; "" = address must say
	api     string // path of its API beneath home
	calls   []string
	header  string // field of the key; "" = Authorization: Bearer
	version string // anthropic-version
	models  []string
}

// The calls whose cost the gateway can read.
const (
	chat      = "/chat/completions"
	responses = "/responses"
	messages  = "/messages"
)

// vendors are the providers in the order in which they are offered. Of Azure
// the models are deployments, whose names only their owner knows.
func vendors() []vendor {
	return []vendor{
		{
			name: "openai", title: "OpenAI", key: "OPENAI_API_KEY", address: "OPENAI_BASE_URL", home: "https://api.openai.com/v1",
			calls: []string{chat, responses}, models: []string{"gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o", "gpt-4o-mini"},
		},
		{
			name: "anthropic", title: "Anthropic", key: "ANTHROPIC_API_KEY", address: "ANTHROPIC_BASE_URL", home: "https://api.anthropic.com", api: "/v1",
			calls: []string{messages}, header: "x-api-key", version: "2023-06-01",
			models: []string{"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"},
		},
		{
			name: "gemini", title: "Gemini", key: "GEMINI_API_KEY", address: "GOOGLE_GEMINI_BASE_URL", home: "https://generativelanguage.googleapis.com", api: "/v1beta/openai",
			calls: []string{chat}, models: []string{"gemini-2.5-pro", "gemini-2.5-flash"},
		},
		{
			name: "mistral", title: "Mistral", key: "MISTRAL_API_KEY", home: "https://api.mistral.ai", api: "/v1",
			calls: []string{chat}, models: []string{"mistral-large-latest", "mistral-small-latest"},
		},
		{
			name: "groq", title: "Groq", key: "GROQ_API_KEY", address: "GROQ_BASE_URL", home: "https://api.groq.com", api: "/openai/v1",
			calls: []string{chat}, models: []string{"llama-3.3-70b-versatile", "llama-3.1-8b-instant"},
		},
		{
			name: "openrouter", title: "OpenRouter", key: "OPENROUTER_API_KEY", home: "https://openrouter.ai", api: "/api/v1",
			calls: []string{chat}, models: []string{"openrouter/auto"},
		},
		{
			name: "azure", title: "Azure OpenAI", key: "AZURE_OPENAI_API_KEY", address: "AZURE_OPENAI_ENDPOINT", api: "/openai/v1",
			calls: []string{chat, responses}, header: "api-key",
		},
	}
}

// list is the variable that names the models to offer, with commas between.
func (v *vendor) list() string { return "EGRET_" + strings.TrimSuffix(v.key, "_API_KEY") + "_MODELS" }

// Variables returns the environment variables that Find reads.
func Variables() (out []string) {
	for _, v := range vendors() {
		out = append(out, v.key, v.list())
		if v.address != "" {
			out = append(out, v.address)
		}
	}
	return out
}
