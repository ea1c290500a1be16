package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestClientTLS: what restricts whom a request is sent to is never left out by
// a plane that does not know it.
func TestClientTLS(t *testing.T) {
	f := func(b plan.Backend, needs int) {
		t.Helper()
		if got := (&plan.Plan{Backends: []plan.Backend{b}}).Needs(); got != needs {
			t.Errorf("%+v needs format %d, want %d", b, got, needs)
		}
	}
	f(plan.Backend{TLS: &plan.ClientTLS{CAs: []string{"ca"}, Names: []string{"n"}, Identity: "me", SkipVerify: true}}, 1)
	f(plan.Backend{TLS: &plan.ClientTLS{CRLs: []string{"crl"}}}, 3)
	f(plan.Backend{TLS: &plan.ClientTLS{Pins: []string{"pin"}}}, 3)
	f(plan.Backend{TLS: &plan.ClientTLS{MinVersion: "1.3"}}, 3)
	f(plan.Backend{Path: "/mcp"}, 3)

	unknown := &plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, TLS: &plan.ClientTLS{MinVersion: "1.4"}}}}
	if err := unknown.Check(); err == nil || !strings.Contains(err.Error(), `TLS "1.4"`) {
		t.Errorf("error %v", err)
	}
	all := &plan.ClientTLS{CAs: []string{"a", "b"}, CRLs: []string{"c"}, Identity: "d"}
	if got := all.Secrets(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("secrets %v", got)
	}
	if got := (*plan.ClientTLS)(nil).Secrets(); got != nil {
		t.Errorf("secrets %v of nothing", got)
	}
}
