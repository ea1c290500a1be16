package sdk

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
	"github.com/egret-gateway/egret/lab/fake"
)

const (
	prompt = "What is the weather in Paris?"
	system = "Be brief."
)

// What an answer costs that repeats the prompt.
var in, out = int64(fake.Tokens(prompt) + fake.Tokens(system)), int64(fake.Tokens(prompt))

// weather is the schema of a tool, and called the arguments that the fakes make of it.
var weather = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}}

const called = `{"city":"` + prompt + `"}`

// platform is a MaaS gateway that leads to the vendors, and a user with a
// token of it who knows none of the vendors' keys.
type platform struct {
	*child.Gateway
	world *fake.World
	token string
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	w := fake.New(t)
	dir := t.TempDir()
	for _, from := range []string{"../../manifests/maas/base", "testdata"} {
		if err := os.CopyFS(filepath.Join(dir, filepath.Base(from)), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	child.Write(t, filepath.Join(dir, "platform.yaml"), secrets(t, w))
	_, port, _ := net.SplitHostPort(w.Addr)
	flags := []string{"--manifests", dir}
	for _, v := range vendors(w) {
		flags = append(flags, "--resolve", v.Hosts[0]+":443:127.0.0.1:"+port)
	}
	g := child.Quickstart(t, flags...)
	return &platform{Gateway: g, world: w, token: g.Mint(t, g.UserToken)}
}

func vendors(w *fake.World) []*fake.Vendor { return []*fake.Vendor{w.OpenAI, w.Anthropic, w.Azure} }

// secrets are the manifests of what only the platform knows: the vendors' keys,
// and whose word on the vendors' names it takes.
func secrets(t *testing.T, w *fake.World) string {
	t.Helper()
	type object map[string]any
	all := []object{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "vendors-ca", "namespace": "models"}, "data": object{"ca.crt": string(w.CA.PEM)}}}
	for _, v := range vendors(w) {
		all = append(all, object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": v.Name, "namespace": "models"}, "stringData": object{"key": v.Key}})
	}
	text, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": all})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// spent returns what the ledger has of all users.
func (p *platform) spent(t *testing.T) (tokens int64) {
	t.Helper()
	var rows struct{ Rows []struct{ Total int64 } }
	p.Page(t, "/usage?"+url.Values{"by": {"user"}}.Encode()).JSON(t, &rows)
	for _, r := range rows.Rows {
		tokens += r.Total
	}
	return tokens
}

// charges fails the test unless call costs its user as many tokens as it returns.
func (p *platform) charges(t *testing.T, call func() int64) {
	t.Helper()
	want := p.spent(t)
	want += call()
	child.Until(t, "it is in the ledger", func() bool { return p.spent(t) >= want })
	if now := p.spent(t); now != want {
		t.Errorf("charged %d tokens too many", now-want)
	}
}

// vouch fails the test unless all that the vendor saw came with the platform's
// key in this header, and nowhere with the user's token or another's key.
func (p *platform) vouch(t *testing.T, v *fake.Vendor, header string) {
	t.Helper()
	all := v.Journal()
	if len(all) == 0 {
		t.Error("the vendor saw nothing")
	}
	for _, s := range all {
		if s.Via != header || s.Credential != v.Key || s.Subject != "api key" {
			t.Errorf("%s %s: %q in header %q of %q, want the platform's key in %s", s.Method, s.Path, s.Credential, s.Via, s.Subject, header)
		}
		if carries(&s, p.token) || carries(&s, p.UserToken) {
			t.Errorf("%s %s: the user's token has left: %v", s.Method, s.Path, s.Header)
		}
		for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "Cookie", "Openai-Organization", "Openai-Project"} {
			if s.Header.Get(name) != "" && !strings.EqualFold(name, header) {
				t.Errorf("%s %s: header %s has left beside %s", s.Method, s.Path, name, header)
			}
		}
	}
}

// carries reports whether a secret is anywhere in what a vendor saw.
func carries(s *fake.Seen, secret string) bool {
	in := func(text string) bool { return strings.Contains(text, secret) }
	for _, values := range s.Header {
		if slices.ContainsFunc(values, in) {
			return true
		}
	}
	return in(s.Path) || in(s.Query) || in(string(s.Body))
}
