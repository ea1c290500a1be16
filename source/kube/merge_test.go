package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

const ours = source.ControllerEgret

var now = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func kindNamed(t testing.TB, name string) *kind {
	t.Helper()
	ks, err := choose([]Kind{{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return &ks[0]
}

// object decodes the text of an object as the API server would send it.
func object(t testing.TB, kind, text string) *item {
	t.Helper()
	i, err := kindNamed(t, kind).decode([]byte(text), ours)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// patched returns the patch for an object as JSON, "" for none.
func patched(t testing.TB, i *item, a asked) string {
	t.Helper()
	p := kindNamed(t, i.key.Kind).patch(i, a, ours, now)
	if p == nil {
		return ""
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func ref(gateway, section string) source.Ref {
	return source.Ref{Group: gwv1.GroupName, Kind: "Gateway", Namespace: "default", Name: gateway, SectionName: section}
}

func accepted(parent source.Ref, status metav1.ConditionStatus) source.Condition {
	return source.Condition{Parent: parent, Type: "Accepted", Status: status, Reason: "Because", Message: "so", Generation: 2}
}

func TestRoutePatch(t *testing.T) {
	const route = `{"metadata":{"name":"r","namespace":"default","generation":2},
		"spec":{"parentRefs":[{"name":"g"},{"name":"h","sectionName":"web"}]},"status":{"parents":[%s]}}`
	const theirs = `{"parentRef":{"name":"g","later":1},"controllerName":"example.com/x","conditions":null}`
	cond := func(status, time string) string {
		return `{"type":"Accepted","status":"` + status + `","observedGeneration":2,"lastTransitionTime":"` + time + `","reason":"Because","message":"so"}`
	}
	entry := func(ref, conditions string) string {
		return `{"parentRef":` + ref + `,"controllerName":"` + ours + `","conditions":[` + conditions + `]}`
	}
	g, h := `{"name":"g"}`, `{"name":"h","sectionName":"web"}`
	const none = "none" // is left, while "" is no patch
	const old, fresh = "2020-01-01T00:00:00Z", "2026-01-02T03:04:05Z"
	f := func(name, have, want string, cs ...source.Condition) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if want != "" {
				want = `{"parents":[` + strings.TrimPrefix(want, none) + `]}`
			}
			if diff := cmp.Diff(want, patched(t, object(t, "HTTPRoute", fmt.Sprintf(route, have)), asked{conditions: cs})); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
	both := []source.Condition{accepted(ref("g", ""), "True"), accepted(ref("h", "web"), "False")}
	f("gateway-32 B-24 entries of other controllers stay byte by byte", theirs,
		theirs+","+entry(g, cond("True", fresh))+","+entry(h, cond("False", fresh)), both...)
	f("gateway-33 B-15 what is said already is not written", theirs+","+entry(g, cond("True", old))+","+entry(h, cond("False", old)), "", both...)
	f("B-15 lastTransitionTime changes with the status", entry(g, cond("False", old)), entry(g, cond("True", fresh)), both[0])
	f("B-15 and stays when only the reason changes", entry(g, strings.Replace(cond("True", old), "Because", "Else", 1)), entry(g, cond("True", old)), both[0])
	f("an entry is found again by what its parentRef means", entry(`{"group":"gateway.networking.k8s.io","kind":"Gateway","namespace":"default","name":"g"}`, cond("True", old)),
		entry(g, cond("True", old)), both[0])
	f("gateway-45 entries of ours that nobody asks for go", theirs+","+entry(g, cond("True", old))+","+entry(`{"name":"gone"}`, cond("True", old)),
		theirs+","+entry(g, cond("True", old)), both[0])
	f("gateway-45 all of them when nothing is asked", entry(g, cond("True", old)), none)
	f("B-45 a parent that the spec does not name has no entry", "", "", accepted(source.Ref{Kind: "Service", Namespace: "default", Name: "g"}, "True"))
	f("conditions of ours that nobody asks for go, others stay",
		entry(g, cond("True", old)+`,{"type":"PartiallyInvalid","status":"True"},{"type":"example.com/X","status":"True"}`),
		entry(g, cond("True", old)+`,{"type":"example.com/X","status":"True"}`), both[0])
	held := func(name, have, want string, parents ...source.Ref) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			st := Status{Conditions: slices.Clone(both), Held: map[source.Key][]source.Ref{{Kind: "HTTPRoute", Namespace: "default", Name: "r"}: parents}}
			for i := range st.Conditions {
				c := &st.Conditions[i]
				c.Kind, c.Namespace, c.Name = "HTTPRoute", "default", "r"
				if want := len(parents) == 0 || slices.Contains(parents, c.Parent); st.Holds(*c) != want {
					t.Errorf("of %v is held: %v", c.Parent, !want)
				}
			}
			i := object(t, "HTTPRoute", fmt.Sprintf(route, have))
			if want != "" {
				want = `{"parents":[` + want + `]}`
			}
			if diff := cmp.Diff(want, patched(t, i, st.asked()[i.key])); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
	held("B-34 a parent that is held stays as it is, others do not", entry(g, cond("False", old)), entry(g, cond("False", old))+","+entry(h, cond("False", fresh)), ref("g", ""))
	held("B-34 and has no entry if it had none", "", entry(h, cond("False", fresh)), ref("g", ""))
	held("B-34 a route that is held is not written", entry(`{"name":"gone"}`, cond("False", old)), "")
}

func TestPatch(t *testing.T) {
	f := func(name, kind, text string, a asked, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if diff := cmp.Diff(want, patched(t, object(t, kind, text), a)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
	yes := asked{conditions: []source.Condition{accepted(source.Ref{}, "True")}}
	const said = `{"type":"Accepted","status":"True","observedGeneration":2,"lastTransitionTime":"2026-01-02T03:04:05Z","reason":"Because","message":"so"}`
	f("conditions about an older spec are not written", "AuthPolicy", `{"metadata":{"name":"p","generation":3}}`, yes, "")
	f("a policy has observedGeneration", "AuthPolicy", `{"metadata":{"name":"p","generation":2}}`, yes, `{"conditions":[`+said+`],"observedGeneration":2}`)
	f("a policy that others speak of is left alone", "AuthPolicy",
		`{"metadata":{"name":"p"},"status":{"conditions":[{"type":"Accepted"}]}}`, asked{}, "")
	owner := `"managedFields":[{"manager":"` + ours + `","operation":"Update","subresource":"status","fieldsV1":
		{"f:status":{"f:conditions":{"k:{\"type\":\"Accepted\"}":{"f:status":{},"f:message":{}},"k:{\"type\":\"Enforced\"}":{"f:type":{}}}}}}]`
	f("gateway-45 what we wrote goes, what others changed since stays", "AuthPolicy",
		`{"metadata":{"name":"p",`+owner+`},"status":{"observedGeneration":2,"conditions":[{"type":"Accepted"},{"type":"Enforced"}]}}`,
		asked{}, `{"conditions":[{"type":"Enforced"}]}`)
	f("gateway-45 with the last of it goes observedGeneration", "AuthPolicy",
		`{"metadata":{"name":"p",`+owner+`},"status":{"observedGeneration":2,"conditions":[{"type":"Accepted"}]}}`,
		asked{}, `{"conditions":null,"observedGeneration":null}`)
	f("gateway-29 a class of another controller is untouched", "GatewayClass",
		`{"metadata":{"name":"c",`+owner+`},"status":{"conditions":[{"type":"Accepted"}]}}`, asked{}, "")
	f("gateway-29 features are sorted and single", "GatewayClass", `{"metadata":{"name":"c"}}`,
		asked{conditions: yes.conditions, features: []gwv1.FeatureName{"B", "A", "B"}},
		`{"conditions":[`+said+`],"supportedFeatures":[{"name":"A"},{"name":"B"}]}`)
	f("gateway-104 B-04 other controllers' entries stay", "XBackendDestination",
		`{"metadata":{"name":"d"},"status":{"controllers":[{"name":"a.com/x","y":1},{"name":"`+ours+`"},{"name":"b.com/x"}]}}`,
		asked{}, `{"controllers":[{"name":"a.com/x","y":1},{"name":"b.com/x"}]}`)
	f("gateway-103 B-04 our entry is beside others'", "XBackendDestination",
		`{"metadata":{"name":"d","generation":2},"status":{"controllers":[{"name":"a.com/x","y":1}]}}`,
		yes, `{"controllers":[{"name":"a.com/x","y":1},{"name":"`+ours+`","conditions":[`+said+`]}]}`)
	ip := gwv1.IPAddressType
	f("gateway-52 gateway-53 a Gateway's listeners and addresses", "Gateway",
		`{"metadata":{"name":"g","generation":2},"spec":{"listeners":[{"name":"z"},{"name":"a"},{"name":"new"}]},"status":{"addresses":[{"value":"old"}],"listeners":[{"name":"gone"}]}}`,
		asked{knowsAddresses: true, addresses: []gwv1.GatewayStatusAddress{{Type: &ip, Value: "192.0.2.1"}}, conditions: []source.Condition{
			accepted(source.Ref{}, "True"),
			{Parent: source.Ref{SectionName: "a"}, Type: "Accepted", Status: "True", Reason: "Because", Message: "so", Generation: 2, Kinds: "HTTPRoute,GRPCRoute", Attached: 3},
			{Parent: source.Ref{SectionName: "z"}, Type: "Accepted", Status: "True", Reason: "Because", Message: "so", Generation: 2},
		}},
		`{"addresses":[{"type":"IPAddress","value":"192.0.2.1"}],"conditions":[`+said+`],"listeners":[`+
			`{"name":"z","supportedKinds":[],"attachedRoutes":0,"conditions":[`+said+`]},`+
			`{"name":"a","supportedKinds":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute"},{"group":"gateway.networking.k8s.io","kind":"GRPCRoute"}],"attachedRoutes":3,"conditions":[`+said+`]}]}`)
}

func TestLegal(t *testing.T) {
	f := func(name string, in source.Condition, want metav1.Condition) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if diff := cmp.Diff(want, legal(in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	f("gateway-56 B-18 nothing is left empty", source.Condition{Type: "Accepted"}, metav1.Condition{Type: "Accepted", Status: "Unknown", Reason: "Unknown"})
	f("gateway-56 B-18 a reason is one word", source.Condition{Type: "A", Status: "True", Reason: "two words"}, metav1.Condition{Type: "A", Status: "True", Reason: "Unknown"})
	f("a generation is not negative", source.Condition{Type: "A", Status: "True", Reason: "R", Generation: -1}, metav1.Condition{Type: "A", Status: "True", Reason: "R"})
	long := legal(source.Condition{Message: strings.Repeat("ä", maxMessage+1)}).Message
	if n := utf8.RuneCountInString(long); n != maxMessage || !strings.HasSuffix(long, "ä…") {
		t.Errorf("a long message has %d characters", n)
	}
	if fits := strings.Repeat("ä", maxMessage); legal(source.Condition{Message: fits}).Message != fits {
		t.Error("a message that fits is cut")
	}
}
