package guide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/fake"
)

// vendors are the fake vendors under their real names, trusted as the
// system's authorities are.
func vendors(t *testing.T, env ...string) (*fake.World, outside) {
	t.Helper()
	w := fake.New(t)
	ca := filepath.Join(t.TempDir(), "system.pem")
	if err := os.WriteFile(ca, w.CA.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	o := outside{env: append(env, "SSL_CERT_FILE="+ca)}
	for _, v := range w.Vendors() {
		for _, host := range v.Hosts {
			if v != w.Metadata {
				o.resolve = append(o.resolve, host+":443:"+w.Addr)
			}
		}
	}
	return w, o
}

func TestProviders(t *testing.T) {
	w, o := vendors(t)
	o.env = append(o.env, "OPENAI_API_KEY="+w.OpenAI.Key, "ANTHROPIC_API_KEY="+w.Anthropic.Key)
	out := o.shell(t, blocks(t, root+"/docs/guides/providers.md")...)
	if len(out) != 4 {
		t.Fatalf("%d blocks; this test knows 4", len(out))
	}
	prints(t, out[0], `^XBackendDestination default/anthropic .*False +SecretNotFound .*create it`, `^XBackendDestination default/openai .*False +SecretNotFound`)
	prints(t, out[2], `^gpt-4o-mini$`, `^claude-haiku-4-5$`, `^Say hello\.$`, `unsupported model: gemini-2\.5-pro`,
		`^ *blue +gpt-4o-mini +1 +0 `, `^ *blue +claude-haiku-4-5 +1 +0 `, `^ *blue +gemini-2\.5-pro +1 +1 `)
	prints(t, out[3], `invalid_api_key`)
	first, message := w.OpenAI.Journal()[0], w.Anthropic.Journal()[0]
	if first.Credential != w.OpenAI.Key || first.Via != "authorization" {
		t.Errorf("OpenAI was shown %q in %s, want its own key", first.Credential, first.Via)
	}
	if message.Credential != w.Anthropic.Key || message.Via != "x-api-key" {
		t.Errorf("Anthropic was shown %q in %s, want its own key", message.Credential, message.Via)
	}
	keyless(t, w, "blue-team-demo-key")
}

// keyless holds that no vendor has seen the key of a caller.
func keyless(t *testing.T, w *fake.World, key string) {
	t.Helper()
	for _, v := range w.Vendors() {
		for _, seen := range v.Journal() {
			for name, values := range seen.Header {
				if strings.Contains(strings.Join(values, " "), key) {
					t.Errorf("%s has seen the caller's key in %s", v.Name, name)
				}
			}
		}
	}
}

func TestCloud(t *testing.T) {
	w, o := vendors(t)
	o.env = append(o.env, "AWS_ACCESS_KEY_ID="+w.AWS.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+w.AWS.SecretAccessKey, "AZURE_RESOURCE=egret-lab",
		"AZURE_TENANT_ID="+w.App.Tenant, "AZURE_CLIENT_ID="+w.App.ID, "AZURE_CLIENT_SECRET="+w.App.Secret)
	out := o.shell(t, blocks(t, root+"/docs/guides/cloud.md")...)
	if len(out) != 4 {
		t.Fatalf("%d blocks; this test knows 4", len(out))
	}
	prints(t, out[2], `^Say hello\.\nSay hello\.$`)
	prints(t, out[3], `"code":"no_credential"`, `^login\.microsoftonline\.com answered 401 invalid_client AADSTS7000215$`)
	if got, want := w.Azure.Journal()[0].Subject, "app "+w.App.ID; got != want {
		t.Errorf("Azure was called by %q, want %q", got, want)
	}
	if got, want := w.Bedrock.Journal()[0].Subject, "arn:aws:iam::123456789012:user/egret"; got != want {
		t.Errorf("Bedrock was called by %q, want %q", got, want)
	}
	keyless(t, w, "blue-team-demo-key")
}
