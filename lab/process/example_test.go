package process

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/lab/child"
)

// Examples of guides are run by the guides' tests (lab/guide); the others here.
func TestExamplesAreRun(t *testing.T) {
	entries, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{
		"chain", "cloud", "external-host", "first-gateway", "mixed-providers", "mutual-tls", "private-ca", "providers", "two-providers", "unified-path",
	}, names); diff != "" {
		t.Errorf("examples and those that a test runs (-run +there):\n%s", diff)
	}
}

func TestTwoProviders(t *testing.T) {
	const gateway = "default/providers"
	g := child.Run(t, "-f", "../../examples/two-providers", "--simulate", "--listen", gateway+"/http=127.0.0.1:0")
	url := g.Address(t, gateway, 8081) + "/v1/chat/completions"
	ask := func(provider string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"model":"any","messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if provider != "" {
			req.Header.Set("X-Target-Provider", provider)
		}
		res, err := g.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := readAll(res)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, body
	}
	for _, provider := range []string{"anthropic", "", ""} {
		if status, body := ask(provider); status != http.StatusOK || !strings.Contains(body, `"usage"`) {
			t.Errorf("provider %q: %d %s", provider, status, body)
		}
	}
	requests := func(backend string) float64 {
		return g.Metric(t, `istio_requests_total{destination_service_name="`+backend+`",response_code="200",tier=""}`)
	}
	child.Until(t, "the three calls are counted, one of them at least for the provider that the header named", func() bool {
		openai, anthropic := requests("default-openai-8000"), requests("default-anthropic-8000")
		return openai+anthropic == 3 && anthropic >= 1
	})
	t.Run("maas-115 more calls than the limit are refused", func(t *testing.T) {
		child.Until(t, "a 429", func() bool {
			status, _ := ask("")
			return status == http.StatusTooManyRequests
		})
	})
}
