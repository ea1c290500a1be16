package guide

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/fake"
)

func TestQuickstart(t *testing.T) {
	all := blocks(t, root+"/docs/guides/quickstart.md")
	if len(all) != 8 {
		t.Fatalf("%d blocks; this test knows 6, and TestQuickstartWithAKey 2", len(all))
	}
	out := shell(t, all[:6]...)
	got := lines(out[1]) // what the document's block prints
	token, models, model := got[0], got[1], got[2]
	answer := strings.Join(got[3:len(got)-17], "\n")
	codes := got[len(got)-17:]

	var minted int64
	t.Run("maas-6 maas-7 the token has three parts and the sample's claims", func(t *testing.T) { minted = claims(t, token) })
	t.Run("maas-8 maas-9 the models come in order", func(t *testing.T) { listed(t, models, model, minted) })
	t.Run("maas-10 a completion has the sample's keys in their order", func(t *testing.T) { completion(t, answer) })
	t.Run("maas-11 without a token 401", func(t *testing.T) {
		if codes[0] != "401" {
			t.Errorf("the call without a token answered %s", codes[0])
		}
	})
	t.Run("maas-12 some 200s, then only 429s", func(t *testing.T) {
		n := slices.Index(codes[1:], "429")
		if n < 1 || slices.ContainsFunc(codes[1:n+1], isNot("200")) || slices.ContainsFunc(codes[n+1:], isNot("429")) {
			t.Errorf("not some 200s and then only 429s: %v", codes[1:])
		}
	})
	t.Run("its client commands answer", func(t *testing.T) {
		for _, want := range []string{
			`(?m)^gpt-4-external +openai +true`, `(?m)^claude-3-sonnet-external +anthropic +true`,
			`(?m)^ *kube-admin-81378af5 +gpt-4-external +\d+ `,
			`(?m)^route +default/external-model-bridge`, `(?m)^limit +free-user-tokens .*: 0 of 100 tokens left`,
			`(?m)^egret \S+ +plan \w+ .*ready: ok$`,
		} {
			if !regexp.MustCompile(want).MatchString(out[2]) {
				t.Errorf("no line is %s in\n%s", want, out[2])
			}
		}
	})
	t.Run("maas-14 after the window a call passes again", func(t *testing.T) {
		if diff := cmp.Diff([]string{"429", "200"}, lines(out[3])); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("maas-42 maas-53 a key works until it is revoked", func(t *testing.T) {
		got := lines(out[4])
		if len(got) != 5 || !strings.Contains(got[1], "my-notebook") {
			t.Fatalf("unexpected:\n%s", out[4])
		}
		if diff := cmp.Diff([]string{"200", "all your tokens and API keys are revoked", "401"}, got[2:]); diff != "" {
			t.Error(diff)
		}
	})
}

// TestQuickstartWithAKey: OpenAI is the lab's, under its own name.
func TestQuickstartWithAKey(t *testing.T) {
	all, w := blocks(t, root+"/docs/guides/quickstart.md"), fake.New(t)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, w.CA.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPENAI_API_KEY", w.OpenAI.Key)
	lead := `egret() {
		case $1 in
		quickstart) SSL_CERT_FILE='` + ca + `' exec egret "$@" --resolve api.openai.com:443:` + w.Addr + ` ;;
		*) command egret "$@" ;;
		esac
	}`
	out := shell(t, lead, all[6], all[7])
	prints(t, out[1], `OpenAI \(OPENAI_API_KEY\): gpt-5, .*gpt-4o-mini$`, `OPENAI_BASE_URL=https://\$HOST/openai/v1 OPENAI_API_KEY=\$TOKEN$`)
	prints(t, out[2], `^gpt-4-external +openai +true`, `^gpt-4o-mini +openai +true`, `^Hello$`, `^ *kube-admin-81378af5 +gpt-4o-mini +1 +0 `)
	if seen := w.OpenAI.Journal(); len(seen) != 1 || seen[0].Credential != w.OpenAI.Key {
		t.Errorf("OpenAI was asked %d times, want once and with its key", len(seen))
	}
}

func isNot(want string) func(string) bool { return func(s string) bool { return s != want } }

// claims checks a token and returns when it was minted.
func claims(t *testing.T, token string) (minted int64) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts: %s", len(parts), token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Audience   []string `json:"aud"`
		Expiry     int64    `json:"exp"`
		Issued     int64    `json:"iat"`
		Subject    string   `json:"sub"`
		Kubernetes struct {
			Namespace string `json:"namespace"`
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"maas-default-gateway-sa"}, c.Audience); diff != "" {
		t.Error(diff)
	}
	if c.Expiry-c.Issued != 600 {
		t.Errorf("the token lives for %d seconds, want 600", c.Expiry-c.Issued)
	}
	if want := "system:serviceaccount:maas-default-gateway-tier-free:kube-admin-81378af5"; c.Subject != want {
		t.Errorf("sub = %s, want %s", c.Subject, want)
	}
	if want := "maas-default-gateway-tier-free"; c.Kubernetes.Namespace != want {
		t.Errorf("namespace = %s, want %s", c.Kubernetes.Namespace, want)
	}
	return c.Issued
}

func listed(t *testing.T, text, model string, minted int64) {
	if model != "Model: gpt-4-external" {
		t.Errorf("the first model is %q", model)
	}
	created := regexp.MustCompile(`"created": (\d+)`)
	for _, m := range created.FindAllStringSubmatch(text, -1) {
		var at int64
		json.Unmarshal([]byte(m[1]), &at)
		if late := at - minted; late < 0 || late > 30 {
			t.Errorf("created is %d s after the token, which was minted just before", late)
		}
	}
	const want = `{ "data": [` +
		` { "id": "gpt-4-external", "created": 0, "object": "model", "owned_by": "openai", "ready": true },` +
		` { "id": "claude-3-sonnet-external", "created": 0, "object": "model", "owned_by": "anthropic", "ready": true }` +
		` ], "object": "list" }`
	if diff := cmp.Diff(want, created.ReplaceAllString(text, `"created": 0`)); diff != "" {
		t.Error(diff)
	}
}

func completion(t *testing.T, text string) {
	if diff := cmp.Diff([]string{"id", "created", "model", "usage", "object", "do_remote_decode", "do_remote_prefill",
		"remote_block_ids", "remote_engine_id", "remote_host", "remote_port", "choices"}, keys(t, text)); diff != "" {
		t.Error(diff)
	}
	var c struct {
		ID, Model, Object string
		Usage             struct {
			Prompt int `json:"prompt_tokens"`
			Output int `json:"completion_tokens"`
			Total  int `json:"total_tokens"`
		}
		Choices []struct {
			Reason  string `json:"finish_reason"`
			Message struct{ Role, Content string }
		}
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.ID, "chatcmpl-") || c.Model != "gpt-4-external" || c.Object != "chat.completion" {
		t.Errorf("id %s, model %s, object %s", c.ID, c.Model, c.Object)
	}
	u := c.Usage
	if u.Prompt != 1 || u.Output < 1 || u.Output > 50 || u.Total != u.Prompt+u.Output {
		t.Errorf("usage %+v", u)
	}
	if len(c.Choices) != 1 || c.Choices[0].Message.Role != "assistant" || c.Choices[0].Message.Content == "" {
		t.Fatalf("choices %+v", c.Choices)
	}
	if want := map[bool]string{true: "length", false: "stop"}[u.Output == 50]; c.Choices[0].Reason != want {
		t.Errorf("finish_reason %s with %d tokens, want %s", c.Choices[0].Reason, u.Output, want)
	}
}

// keys are the top-level keys of an object in their order.
func keys(t *testing.T, text string) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if _, err := d.Token(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var out []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, key.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
