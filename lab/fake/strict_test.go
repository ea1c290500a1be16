package fake

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call is one request to a vendor and what it says.
type call struct {
	name   string
	vendor func(*World) *Vendor
	method string // "" for POST
	path   string // with the host when it is not the vendor's first
	header string // "Name: value" lines; KEY stands for the vendor's key
	body   string
	status int
	want   string // part of the answer
}

func openAIOf(w *World) *Vendor    { return w.OpenAI }
func anthropicOf(w *World) *Vendor { return w.Anthropic }
func azureOf(w *World) *Vendor     { return w.Azure }
func geminiOf(w *World) *Vendor    { return w.Gemini }
func bedrockOf(w *World) *Vendor   { return w.Bedrock }
func stsOf(w *World) *Vendor       { return w.STS }
func googleOf(w *World) *Vendor    { return w.Google }
func entraOf(w *World) *Vendor     { return w.Entra }
func oauthOf(w *World) *Vendor     { return w.OAuth }
func metadataOf(w *World) *Vendor  { return w.Metadata }

const (
	js          = "Content-Type: application/json\n"
	form        = "Content-Type: application/x-www-form-urlencoded\n"
	bearerKey   = "Authorization: Bearer KEY\n"
	chatBody    = `{"model":"gpt-4o","messages":[{"role":"user","content":"Hello there"}]}`
	claudeKey   = "X-Api-Key: KEY\nAnthropic-Version: 2023-06-01\n"
	claudeLater = "X-Api-Key: KEY\nAnthropic-Version: 2026-10-21\n"
	claudeBody  = `{"model":"claude-opus-4-5","max_tokens":9,"messages":[{"role":"user","content":"Hello there"}]}`
	geminiPath  = "/v1beta/models/gemini-2.0-flash:generateContent"
	geminiKey   = "X-Goog-Api-Key: KEY\n"
	geminiBody  = `{"contents":[{"parts":[{"text":"Hello there"}]}]}`
	azurePath   = "/openai/deployments/gpt-4o/chat/completions"
	bedrock     = "/model/amazon.nova-lite-v1:0/converse"
	nova        = `{"messages":[{"role":"user","content":[{"text":"Hello there"}]}]}`
)

// calls is what each vendor takes and what it refuses, in its own words.
var calls = []call{
	{"openai chat", openAIOf, "", "/v1/chat/completions", bearerKey + js, chatBody, 200, `"usage":{"completion_tokens":2,`},
	{"openai no key", openAIOf, "", "/v1/chat/completions", js, chatBody, 401, `"message":"You didn't provide an API key.`},
	{"openai key in another's header", openAIOf, "", "/v1/chat/completions", "X-Api-Key: KEY\n" + js, chatBody, 401, `"type":"invalid_request_error"`},
	{"openai wrong key", openAIOf, "", "/v1/chat/completions", "Authorization: Bearer sk-wrong\n" + js, chatBody, 401, `"code":"invalid_api_key"`},
	{"openai content type", openAIOf, "", "/v1/chat/completions", bearerKey + "Content-Type: text/plain", chatBody, 415, `"type":"invalid_request_error"`},
	{"openai unknown field", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":[],"top_k":1}`, 400, `"code":"unknown_parameter","message":"Unknown parameter: 'top_k'.","param":"top_k"`},
	{"openai unknown field within", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":[{"role":"user","content":"a","cache_control":{}}]}`, 400, `Unknown parameter: 'messages[0].cache_control'.`},
	{"openai wrong type", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":"Hello"}`, 400, `"code":"invalid_type"`},
	{"openai fraction for integer", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":[],"max_tokens":1.5}`, 400, `"param":"max_tokens"`},
	{"openai unknown role", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":[{"role":"pope","content":"a"}]}`, 400, `"param":"messages[0].role"`},
	{"openai missing field", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o"}`, 400, `"code":"missing_required_parameter"`},
	{"openai no JSON", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":`, 400, `We could not parse the JSON body`},
	{"openai two documents", openAIOf, "", "/v1/chat/completions", bearerKey + js, chatBody + `{}`, 400, `We could not parse the JSON body`},
	{"openai unknown model", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-9","messages":[]}`, 404, `"code":"model_not_found"`},
	{"openai stream options without stream", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","messages":[],"stream_options":{"include_usage":true}}`, 400, `"param":"stream_options"`},
	{"openai responses", openAIOf, "", "/v1/responses", bearerKey + js, `{"model":"gpt-4o","input":"Hello there"}`, 200, `"status":"completed"`},
	{"openai responses field of chat", openAIOf, "", "/v1/responses", bearerKey + js, `{"model":"gpt-4o","input":"a","messages":[]}`, 400, `Unknown parameter: 'messages'.`},
	{"openai path", openAIOf, "", "/v1/chat/completion", bearerKey + js, chatBody, 404, `Invalid URL (POST /v1/chat/completion)`},
	{"openai doubled slash", openAIOf, "", "/v1//chat/completions", bearerKey + js, chatBody, 404, `Invalid URL`},
	{"openai method", openAIOf, "GET", "/v1/chat/completions", bearerKey, "", 405, `Invalid URL (GET`},
	{"openai models", openAIOf, "GET", "/v1/models", bearerKey, "", 200, `"object":"list"`},
	{"openai models without key", openAIOf, "GET", "/v1/models", "", "", 401, `"error"`},

	{"anthropic messages", anthropicOf, "", "/v1/messages", claudeKey + js, claudeBody, 200, `"input_tokens":2,"output_tokens":2`},
	{"anthropic no key", anthropicOf, "", "/v1/messages", "Anthropic-Version: 2023-06-01\n" + js, claudeBody, 401, `"error":{"message":"x-api-key header is required","type":"authentication_error"}`},
	{"anthropic wrong key", anthropicOf, "", "/v1/messages", "X-Api-Key: wrong\nAnthropic-Version: 2023-06-01\n" + js, claudeBody, 401, `invalid x-api-key`},
	{"anthropic wrong token", anthropicOf, "", "/v1/messages", "Authorization: Bearer wrong\nAnthropic-Version: 2023-06-01\n" + js, claudeBody, 401, `Invalid bearer token`},
	{"anthropic key as bearer", anthropicOf, "", "/v1/messages", bearerKey + "Anthropic-Version: 2023-06-01\n" + js, claudeBody, 200, `"end_turn"`},
	{"anthropic no version", anthropicOf, "", "/v1/messages", "X-Api-Key: KEY\n" + js, claudeBody, 400, `anthropic-version: header is required`},
	{"anthropic wrong version", anthropicOf, "", "/v1/messages", "X-Api-Key: KEY\nAnthropic-Version: 2024-01-01\n" + js, claudeBody, 400, `is not a valid version`},
	{"anthropic unknown field", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"claude-opus-4-5","max_tokens":9,"messages":[],"n":1}`, 400, `n: Extra inputs are not permitted`},
	{"anthropic temperature", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"claude-opus-4-5","max_tokens":9,"temperature":1,"messages":[]}`, 200, `"end_turn"`},
	{"anthropic temperature in a later version", anthropicOf, "", "/v1/messages", claudeLater + js, `{"model":"claude-opus-4-5","max_tokens":9,"temperature":1,"messages":[]}`, 400, `temperature: Extra inputs are not permitted`},
	{"anthropic later version", anthropicOf, "", "/v1/messages", claudeLater + js, claudeBody, 200, `"end_turn"`},
	{"anthropic citations of a user", anthropicOf, "", "/v1/messages", claudeLater + js, `{"model":"claude-opus-4-5","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{}]}]}]}`, 400, `messages[0].content[0].citations[0]`},
	{"anthropic document of an assistant", anthropicOf, "", "/v1/messages", claudeLater + js, `{"model":"claude-opus-4-5","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"document","source":{}}]}]}`, 400, `messages[0].content[0]`},
	{"anthropic missing field", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"claude-opus-4-5","messages":[]}`, 400, `max_tokens: Field required`},
	{"anthropic system role", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"claude-opus-4-5","max_tokens":9,"messages":[{"role":"system","content":"a"}]}`, 400, `messages[0].role`},
	{"anthropic unknown model", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"gpt-4o","max_tokens":9,"messages":[]}`, 404, `"not_found_error"`},
	{"anthropic count", anthropicOf, "", "/v1/messages/count_tokens", claudeKey + js, `{"model":"claude-opus-4-5","messages":[{"role":"user","content":"one two three"}]}`, 200, `{"input_tokens":3}`},
	{"anthropic count with max_tokens", anthropicOf, "", "/v1/messages/count_tokens", claudeKey + js, claudeBody, 400, `max_tokens: Extra inputs`},
	{"anthropic models", anthropicOf, "GET", "/v1/models", claudeKey, "", 200, `"has_more":false`},
	{"anthropic path", anthropicOf, "", "/v1/chat/completions", claudeKey + js, claudeBody, 404, `"not_found_error"`},

	{"azure chat", azureOf, "", azurePath + "?api-version=2024-10-21", "Api-Key: KEY\n" + js, `{"messages":[{"role":"user","content":"Hello"}]}`, 200, `"prompt_filter_results"`},
	{"azure no version", azureOf, "", azurePath, "Api-Key: KEY\n" + js, chatBody, 404, `{"error":{"code":"404","message":"Resource not found"}}`},
	{"azure wrong version", azureOf, "", azurePath + "?api-version=2020-01-01", "Api-Key: KEY\n" + js, chatBody, 400, `"UnsupportedApiVersion"`},
	{"azure no key", azureOf, "", azurePath + "?api-version=2024-10-21", js, chatBody, 401, `missing subscription key`},
	{"azure wrong key", azureOf, "", azurePath + "?api-version=2024-10-21", "Api-Key: wrong\n" + js, chatBody, 401, `invalid subscription key`},
	{"azure key as bearer", azureOf, "", azurePath + "?api-version=2024-10-21", bearerKey + js, chatBody, 401, `the token is unknown`},
	{"azure unknown deployment", azureOf, "", "/openai/deployments/none/chat/completions?api-version=2024-10-21", "Api-Key: KEY\n" + js, chatBody, 404, `"DeploymentNotFound"`},
	{"azure unknown field", azureOf, "", azurePath + "?api-version=2024-10-21", "Api-Key: KEY\n" + js, `{"messages":[],"top_k":1}`, 400, `"unknown_parameter"`},
	{"azure v1", azureOf, "", "/openai/v1/chat/completions", "Api-Key: KEY\n" + js, chatBody, 200, `"chat.completion"`},
	{"azure v1 unknown deployment", azureOf, "", "/openai/v1/chat/completions", "Api-Key: KEY\n" + js, `{"model":"none","messages":[]}`, 404, `"model_not_found"`},

	{"gemini generate", geminiOf, "", geminiPath, geminiKey + js, geminiBody, 200, `"usageMetadata":{"candidatesTokenCount":2,"promptTokenCount":2,"totalTokenCount":4}`},
	{"gemini key in query", geminiOf, "", geminiPath + "?key=KEY", js, geminiBody, 200, `"finishReason":"STOP"`},
	{"gemini no key", geminiOf, "", geminiPath, js, geminiBody, 403, `"status":"PERMISSION_DENIED"`},
	{"gemini wrong key", geminiOf, "", geminiPath, "X-Goog-Api-Key: wrong\n" + js, geminiBody, 400, `"reason":"API_KEY_INVALID"`},
	{"gemini wrong token", geminiOf, "", geminiPath, "Authorization: Bearer wrong\n" + js, geminiBody, 401, `"status":"UNAUTHENTICATED"`},
	{"gemini unknown field", geminiOf, "", geminiPath, geminiKey + js, `{"contents":[{"parts":[{"txt":"a"}]}]}`, 400, `Unknown name \"txt\" at 'contents[0].parts[0]': Cannot find field.`},
	{"gemini missing field", geminiOf, "", geminiPath, geminiKey + js, `{}`, 400, `contents is not specified`},
	{"gemini unknown model", geminiOf, "", "/v1beta/models/gpt:generateContent", geminiKey + js, geminiBody, 404, `"status":"NOT_FOUND"`},
	{"gemini unknown method", geminiOf, "", "/v1beta/models/gemini-2.0-flash:chat", geminiKey + js, geminiBody, 404, `"status":"NOT_FOUND"`},
	{"gemini count", geminiOf, "", "/v1beta/models/gemini-2.0-flash:countTokens", geminiKey + js, geminiBody, 200, `{"totalTokens":2}`},
	{"vertex takes no key", geminiOf, "", vertexHost + "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.0-flash:generateContent", geminiKey + js, geminiBody, 401, `"status":"UNAUTHENTICATED"`},

	{"bedrock key", bedrockOf, "", bedrock, bearerKey + js, nova, 200, `"usage":{"inputTokens":2,"outputTokens":2,"totalTokens":4}`},
	{"bedrock unsigned", bedrockOf, "", bedrock, js, nova, 403, `Missing Authentication Token`},
	{"bedrock half a signature", bedrockOf, "", bedrock, "Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e\n" + js, nova, 403, `requires 'Credential'`},
	{"bedrock unknown key id", bedrockOf, "", bedrock, "Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=f\n" + js, nova, 403, `The security token included in the request is invalid.`},
	{"bedrock unknown field", bedrockOf, "", bedrock, bearerKey + js, `{"messages":[],"max_tokens":1}`, 400, `Malformed input request: max_tokens: unknown`},
	{"bedrock unknown model", bedrockOf, "", "/model/none/converse", bearerKey + js, nova, 400, `The provided model identifier is invalid.`},
	{"bedrock invoke without version", bedrockOf, "", "/model/anthropic.claude-3-sonnet-20240229-v1:0/invoke", bearerKey + js, `{"max_tokens":1,"messages":[]}`, 400, `anthropic_version: Field required`},
	{"bedrock invoke names no model", bedrockOf, "", "/model/anthropic.claude-3-sonnet-20240229-v1:0/invoke", bearerKey + js, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[],"model":"a"}`, 400, `model: Extra inputs`},

	{"sts unsigned", stsOf, "", "/", form, "Action=AssumeRole&Version=2011-06-15", 403, `<Code>MissingAuthenticationToken</Code>`},
	{"sts no version", stsOf, "", "/", form, "Action=AssumeRole", 400, `<Code>InvalidAction</Code>`},
	{"sts unknown action", stsOf, "", "/", form, "Action=AssumeAll&Version=2011-06-15", 400, `<Code>InvalidAction</Code>`},
	{"sts missing parameter", stsOf, "", "/", form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a", 400, `RoleSessionName`},
	{"sts short session", stsOf, "", "/", form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&RoleSessionName=b&WebIdentityToken=c&DurationSeconds=60", 400, `between 900 and 43200`},
	{"sts unknown parameter", stsOf, "", "/", form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&RoleSessionName=b&WebIdentityToken=c&More=1", 400, `unknown parameter &#39;More&#39;`},
	{"sts forged token", stsOf, "", "/", form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=a&RoleSessionName=b&WebIdentityToken=c", 400, `<Code>InvalidIdentityToken</Code>`},
	{"sts JSON", stsOf, "", "/", js, "{}", 415, `<Code>InvalidContentType</Code>`},

	{"oauth wrong secret", oauthOf, "", "/oauth2/token", form, "grant_type=client_credentials&client_id=egret-lab&client_secret=wrong", 401, `"error":"invalid_client"`},
	{"oauth repeated parameter", oauthOf, "", "/oauth2/token", form, "grant_type=a&grant_type=b", 400, `"error":"invalid_request"`},
	{"oauth JSON", oauthOf, "", "/oauth2/token", js, "{}", 400, `"error":"invalid_request"`},
	{"google wrong grant", googleOf, "", "/token", form, "grant_type=client_credentials", 400, `"error":"unsupported_grant_type"`},
	{"google forged assertion", googleOf, "", "/token", form, "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", 400, `"error":"invalid_grant"`},
	{"google impersonation without token", googleOf, "", "iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a:generateAccessToken", js, "{}", 401, `"status":"UNAUTHENTICATED"`},
	{"entra unknown tenant", entraOf, "", "/none/oauth2/v2.0/token", form, "grant_type=client_credentials", 400, `"error_codes":[90002]`},

	{"IMDSv1", metadataOf, "GET", "/latest/meta-data/iam/security-credentials/", "", "", 401, `401 - Unauthorized`},
	{"IMDSv2 without ttl", metadataOf, "PUT", "/latest/api/token", "", "", 400, `400 - Bad Request`},
	{"IMDSv2 forwarded", metadataOf, "PUT", "/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\nX-Forwarded-For: 10.0.0.1", "", 403, `403 - Forbidden`},
	{"GCP without flavour", metadataOf, "GET", "/computeMetadata/v1/instance/service-accounts/default/token", "", "", 403, `Metadata-Flavor`},
	{"GCP", metadataOf, "GET", "metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token", "Metadata-Flavor: Google", "", 200, `"access_token":"ya29.`},
	{"Azure without header", metadataOf, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r", "", "", 400, `bad_request_102`},
	{"Azure without resource", metadataOf, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01", "Metadata: true", "", 400, `'resource' is missing`},
	{"Azure", metadataOf, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://cognitiveservices.azure.com/", "Metadata: true", "", 200, `"expires_in":"86400"`},
}

func TestStrict(t *testing.T) {
	w := New(t)
	client := w.HTTP()
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			v := c.vendor(w)
			v.Forget()
			response, body := send(t, client, v, c)
			if response.StatusCode != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d %s\nwant %d with %s", response.StatusCode, body, c.status, c.want)
			}
			seen := v.Journal()
			if len(seen) != 1 || seen[0].Status != c.status || seen[0].Digest != digest([]byte(c.body)) || (seen[0].Refusal == "") != (c.status == 200) {
				t.Errorf("journal: %+v", seen)
			}
		})
	}
}

func send(t *testing.T, client *http.Client, v *Vendor, c call) (*http.Response, string) {
	t.Helper()
	response := open(t, client, v, c)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func open(t *testing.T, client *http.Client, v *Vendor, c call) *http.Response {
	t.Helper()
	to := v.URL() + c.path
	if !strings.HasPrefix(c.path, "/") {
		scheme, _, _ := strings.Cut(to, "://")
		to = scheme + "://" + c.path
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, strings.ReplaceAll(to, "KEY", v.Key), strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(c.header, "KEY", v.Key)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestOneNameOneCertificate(t *testing.T) {
	w := New(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.openai.com/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "api.anthropic.com"
	response, err := w.HTTP().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d for a host that is not the handshake's, want 421", response.StatusCode)
	}
	if _, err := w.HTTP().Get("https://api.example.com/"); err == nil {
		t.Error("a certificate for a name that no vendor has")
	}
}

func TestPresent(t *testing.T) {
	w := New(t)
	old := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
	expired, err := w.CA.Issue(old, "api.openai.com")
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.CA.Issue(nil, "api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for want, cert := range map[string]tls.Certificate{"expired": expired, "not api.openai.com": other} {
		w.Present("api.openai.com", cert)
		if _, err := w.HTTP().Get(w.OpenAI.URL()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that says %s", err, want)
		}
	}
	if n := len(w.OpenAI.Journal()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestFaultAsJSON(t *testing.T) {
	var f Fault
	if err := json.Unmarshal([]byte(`{"first":"200ms","between":"1s","after":3,"then":"cut","usage":{"input":1,"output":2}}`), &f); err != nil {
		t.Fatal(err)
	}
	if f.First.Milliseconds() != 200 || f.Between.Seconds() != 1 || f.After != 3 || f.Then != Cut || *f.Usage != (Usage{1, 2}) {
		t.Errorf("%+v", f)
	}
	if err := json.Unmarshal([]byte(`{"then":"explode"}`), &f); err == nil {
		t.Error("an unknown break was taken")
	}
}
