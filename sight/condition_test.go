package sight

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/source"
)

func TestConditions(t *testing.T) {
	one, two := source.Ref{Kind: "Gateway", Namespace: "ns", Name: "one"}, source.Ref{Kind: "Gateway", Namespace: "ns", Name: "two"}
	cs := []source.Condition{
		{Kind: "XBackendDestination", Namespace: "ns", Name: "d", Type: "Available", Status: "True", Generation: 3},
		{Kind: "XBackendDestination", Namespace: "ns", Name: "d", Type: "Degraded", Status: "False", Generation: 3},
		{Kind: "XBackend", Namespace: "ns", Name: "b", Parent: one, Type: "Accepted", Status: "True"},
		{Kind: "XBackend", Namespace: "ns", Name: "b", Parent: two, Type: "Accepted", Status: "True"},
		{Kind: "HTTPRoute", Namespace: "ns", Name: "r", Type: "Accepted", Status: "True"},
		{Kind: "XBackendDestination", Namespace: "ns", Name: "unseen", Type: "Available", Status: "True"},
	}
	facts := []Fact{
		{Object: "XBackendDestination ns/d", Kind: Resolved, Good: true, Text: "It is there.", At: noon},
		{Object: "XBackendDestination ns/d", Kind: Connected, Text: "certificate has expired", At: noon.Add(time.Hour)},
		{Object: "XBackend ns/b", Kind: Authenticated, Good: true, Text: "Taken.", At: noon},
		{Object: "Service ns/s", Kind: Connected, Good: true, Text: "Yes.", At: noon},
		{Object: "XBackendDestination ns/gone", Kind: Connected, Good: true, Text: "Yes.", At: noon},
	}
	want := []source.Condition{
		{Kind: "XBackendDestination", Namespace: "ns", Name: "d", Generation: 3, Type: "egret.dev/Resolved", Status: "True", Reason: "Found", Message: "It is there. (last seen 2026-11-23T12:00:00Z)"},
		{Kind: "XBackendDestination", Namespace: "ns", Name: "d", Generation: 3, Type: "egret.dev/Connected", Status: "False", Reason: "NoConnection", Message: "certificate has expired (last seen 2026-11-23T13:00:00Z)"},
		{Kind: "XBackend", Namespace: "ns", Name: "b", Parent: one, Type: "egret.dev/Authenticated", Status: "True", Reason: "CredentialTaken", Message: "Taken. (last seen 2026-11-23T12:00:00Z)"},
		{Kind: "XBackend", Namespace: "ns", Name: "b", Parent: two, Type: "egret.dev/Authenticated", Status: "True", Reason: "CredentialTaken", Message: "Taken. (last seen 2026-11-23T12:00:00Z)"},
	}
	if diff := cmp.Diff(want, Conditions(facts, cs)); diff != "" {
		t.Error(diff)
	}
	if got := Conditions(nil, cs); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
