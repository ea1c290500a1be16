package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestShownHidesCredentials: whatever a user wrote out under a name that means
// a credential is not printed, and what runs is not touched.
func TestShownHidesCredentials(t *testing.T) {
	const secret = "sk-canary"
	field := func(name string) plan.Header { return plan.Header{Name: name, Value: "Bearer " + secret} }
	value := func() plan.Value { return plan.Value{Static: json.RawMessage(`"` + secret + `"`)} }
	edits := plan.Edits{Set: []plan.Header{field("authorization"), {Name: "x-team", Value: "blue"}}, Add: []plan.Header{field("x-api-key")}}
	literal := value()
	p := &plan.Plan{
		Rules: []plan.Rule{{Name: "ns/r/0", Request: edits, Response: plan.Edits{Set: []plan.Header{field("set-cookie")}},
			Targets: []plan.Target{{Backend: "b", Weight: 1, Request: edits}}}},
		Policies: []plan.Policy{{Name: "p", Auth: &plan.Auth{
			Headers: []plan.Success{
				{Key: "authorization", Plain: &literal},
				{Key: "x-api-key", Plain: &plan.Value{Expression: `"` + secret + `"`}},
				{Key: "x-token", Plain: &plan.Value{Expression: "auth.identity.user"}},
			},
			Metadata: []plan.Metadata{{HTTP: plan.HTTPCall{
				URL:        "http://u:" + secret + "@facts/",
				Headers:    []plan.Property{{Name: "X-Secret", Value: value()}},
				Parameters: []plan.Property{{Name: "client_secret", Value: value()}},
			}}},
		}}},
	}
	before := p.Hash()
	text, err := json.Marshal(p.Shown())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), secret) {
		t.Errorf("printed: %s", text)
	}
	for _, want := range []string{"blue", "auth.identity.user", "x-api-key"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not printed", want)
		}
	}
	if p.Hash() != before {
		t.Error("the plan itself was changed")
	}
}
