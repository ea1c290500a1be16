package kube

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// FuzzPatch merges arbitrary conditions into arbitrary statuses. Whatever they
// are, merging twice is merging once, elements of others keep their bytes and
// their order, and every condition of ours is one that an API server takes.
func FuzzPatch(f *testing.F) {
	f.Add(byte(0), `{"parents":[{"controllerName":"x.com/y"},{"controllerName":"`+ours+`","parentRef":{"name":"g"},"conditions":[{"type":"Accepted","status":"True"}]}]}`, "gA1hB2", "no")
	f.Add(byte(1), `{"controllers":[{"name":"x.com/y","z":1},{"name":"`+ours+`"}]}`, "sA1", "")
	f.Add(byte(2), `{"listeners":[{"name":"web"}],"conditions":[{"type":"Mine"},{"type":"Accepted","status":"False","lastTransitionTime":"x"}]}`, "sA1wB0", "a message")
	f.Add(byte(3), `{"conditions":{"no":"list"}}`, "sA0", "\xff")
	f.Add(byte(4), `null`, "sC7", "")
	f.Fuzz(func(t *testing.T, which byte, status, script, message string) {
		names := []string{"HTTPRoute", "XBackendDestination", "Gateway", "AuthPolicy", "GatewayClass"}
		name := names[int(which)%len(names)]
		k := kindNamed(t, name)
		i := object(t, name, `{"metadata":{"name":"o","namespace":"default"},"spec":{"parentRefs":[{"name":"g"},{"name":"h"}],"listeners":[{"name":"web"}]}}`)
		i.status = json.RawMessage(status)
		a := asked{conditions: scripted(script, message)}
		before := fields(i.status)
		p := k.patch(i, a, ours, now)
		if p == nil {
			return
		}
		after := merged(t, before, p)
		raw, err := json.Marshal(after)
		if err != nil {
			t.Fatal(err)
		}
		i.status = raw
		if again := k.patch(i, a, ours, now.Add(time.Hour)); again != nil {
			t.Errorf("patched once to %s, and then again by %v", raw, again)
		}
		for field := range p {
			if was, is := others(field, before[field]), others(field, after[field]); !bytes.Equal(was, is) {
				t.Errorf("%s of others were\n%s\nand are\n%s", field, was, is)
			}
		}
	})
}

// scripted makes conditions of three bytes each: the part, the type, the status.
func scripted(script, message string) []source.Condition {
	parts := map[byte]source.Ref{'g': ref("g", ""), 'h': ref("h", ""), 'w': {SectionName: "web"}}
	types := []string{"Accepted", "Programmed", "ResolvedRefs", "Enforced"}
	statuses := []metav1.ConditionStatus{"True", "False", "Unknown", "", "Maybe"}
	var out []source.Condition
	for ; len(script) >= 3; script = script[3:] {
		out = append(out, source.Condition{
			Parent: parts[script[0]], Type: types[int(script[1])%len(types)], Status: statuses[int(script[2])%len(statuses)],
			Reason: message, Message: message, Generation: int64(script[2]),
		})
	}
	return out
}

func fields(status json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	if json.Unmarshal(status, &out) != nil || out == nil {
		return map[string]json.RawMessage{}
	}
	return out
}

// merged does what an API server does with a merge patch.
func merged(t *testing.T, status map[string]json.RawMessage, p patch) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	for field, value := range status {
		out[field] = value
	}
	for field, value := range p {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if out[field] = raw; string(raw) == "null" {
			delete(out, field)
		}
	}
	return out
}

// others returns the elements of a list that are somebody else's, compacted.
func others(field string, raw json.RawMessage) []byte {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var out bytes.Buffer
	for _, e := range list {
		var who struct {
			Name           string `json:"name"`
			ControllerName string `json:"controllerName"`
			Type           string `json:"type"`
		}
		bad := json.Unmarshal(e, &who) != nil
		mine := map[string]bool{
			"parents":     who.ControllerName == ours,
			"controllers": who.Name == ours,
			"conditions":  vocabulary[who.Type],
			"listeners":   true,
		}[field]
		if bad || !mine {
			json.Compact(&out, e)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}
