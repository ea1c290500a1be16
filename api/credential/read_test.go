package credential

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRead: what is filled in.
func TestRead(t *testing.T) {
	ref := &SecretRef{Name: "s"}
	f := func(raw string, want Injector) {
		t.Helper()
		got, err := Read([]byte(raw))
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			return
		}
		want.Phase = "request-headers"
		if d := cmp.Diff(want, *got); d != "" {
			t.Errorf("%s (-want +got)\n%s", raw, d)
		}
	}
	f(`{"secretRef":{"name":"s"}}`, Injector{Scheme: Bearer, SecretRef: ref})
	f(`{"phase":"request-headers","priority":10,"failOpen":false,"config":{"secretRef":{"name":"s"}}}`, Injector{Priority: 10, Scheme: Bearer, SecretRef: ref})
	f(`{"secretRef":{"name":"s"},"header":{"name":"x-api-key"}}`, Injector{Scheme: Named, SecretRef: ref, Header: &Header{Name: "x-api-key"}})
	f(`{"scheme":"GCP","secretRef":{"name":"s"}}`, Injector{Scheme: Google, SecretRef: ref, GCP: &GCP{}})
	f(`{"aws":{"region":"us-gov-west-1","identity":"Pod"}}`, Injector{Scheme: SigV4, AWS: &AWS{Region: "us-gov-west-1", Service: "bedrock", Identity: FromPod, SessionName: "egret"}})
	f(`{"azure":{"identity":"Pod"}}`, Injector{Scheme: Entra, Azure: &Azure{Identity: FromPod, Cloud: "Public"}})
}

// TestReadRefused: which field is wrong. Nothing of a value that may be a
// secret is repeated by accident of its place.
func TestReadRefused(t *testing.T) {
	f := func(raw, field string) {
		t.Helper()
		_, err := Read([]byte(raw))
		var e *Error
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%.80s: %v, want field %q", raw, err, field)
		}
	}
	f(`[]`, "")
	f(`{`, "")
	f(strings.Repeat(" ", 17<<10)+`{}`, "")
	f(`{}`, "secretRef")
	f(`{"secretref":{"name":"s"}}`, "secretref")
	f(`{"secretRef":{"name":"s","kye":"k"}}`, "secretRef.kye")
	f(`{"secretRef":{"name":"s"},"secretRef":{"name":"t"}}`, "secretRef")
	f(`{"secretRef":{}}`, "secretRef.name")
	f(`{"secretRef":{"name":1}}`, "secretRef.name")
	f(`{"priority":"high","secretRef":{"name":"s"}}`, "priority")
	f(`{"phase":"Request-Headers","secretRef":{"name":"s"}}`, "phase")
	f(`{"scheme":"bearer","secretRef":{"name":"s"}}`, "scheme")
	f(`{"scheme":"Header","secretRef":{"name":"s"}}`, "header")
	f(`{"query":{"name":"key"},"header":{"name":"a"},"secretRef":{"name":"s"}}`, "query")
	f(`{"header":{"name":"a b"},"secretRef":{"name":"s"}}`, "header.name")
	f(`{"header":{"name":"X_Envoy_Retry"},"secretRef":{"name":"s"}}`, "header.name")
	f(`{"header":{"name":"X-MaaS-Username"},"secretRef":{"name":"s"}}`, "header.name")
	f(`{"header":{"name":"a","prefix":"b\r\nc"},"secretRef":{"name":"s"}}`, "header.prefix")
	f(`{"query":{"name":"a&b"},"secretRef":{"name":"s"}}`, "query.name")
	f(`{"headers":[{"name":"a","value":"1"},{"name":"A","value":"2"}],"secretRef":{"name":"s"}}`, "headers[1].name")
	f(`{"headers":[{"name":"a","value":"1\n"}],"secretRef":{"name":"s"}}`, "headers[0].value")
	f(`{"headers":[{"name":"Content-Length","value":"1"}],"secretRef":{"name":"s"}}`, "headers[0].name")
	f(`{"aws":{},"secretRef":{"name":"s"}}`, "aws.region")
	f(`{"aws":{"region":"us-east-1/../x"},"secretRef":{"name":"s"}}`, "aws.region")
	f(`{"aws":{"region":"us-east-1","roleARN":"me"},"secretRef":{"name":"s"}}`, "aws.roleARN")
	f(`{"aws":{"region":"us-east-1","identity":"Pod"},"secretRef":{"name":"s"}}`, "secretRef")
	f(`{"aws":{"region":"us-east-1","identity":"Me"}}`, "aws.identity")
	f(`{"azure":{"clientID":"a"},"secretRef":{"name":"s"}}`, "azure.tenantID")
	f(`{"azure":{"clientID":"a","tenantID":"t/../u"},"secretRef":{"name":"s"}}`, "azure.tenantID")
	f(`{"azure":{"clientID":"a","tenantID":"t","cloud":"Germany"},"secretRef":{"name":"s"}}`, "azure.cloud")
	f(`{"oauth2":{"tokenURL":"http://a/b","clientID":"a"},"secretRef":{"name":"s"}}`, "oauth2.tokenURL")
	f(`{"oauth2":{"tokenURL":"https://u:p@a/b","clientID":"a"},"secretRef":{"name":"s"}}`, "oauth2.tokenURL")
	f(`{"oauth2":{"tokenURL":"https://gw.ns.gateway.INVALID:80/b","clientID":"a"},"secretRef":{"name":"s"}}`, "oauth2.tokenURL")
	f(`{"oauth2":{"tokenURL":"https://a.invalid./b","clientID":"a"},"secretRef":{"name":"s"}}`, "oauth2.tokenURL")
	f(`{"oauth2":{"tokenURL":"https://:443/b","clientID":"a"},"secretRef":{"name":"s"}}`, "oauth2.tokenURL")
	f(`{"oauth2":{"tokenURL":"https://a/b"},"secretRef":{"name":"s"}}`, "oauth2.clientID")
	f(`{"oauth2":{"tokenURL":"https://a/b","clientID":"a","authentication":"Form"},"secretRef":{"name":"s"}}`, "oauth2.authentication")
}

// TestFailOpen: only who says so in so many words fails open.
func TestFailOpen(t *testing.T) {
	f := func(raw string, want bool) {
		t.Helper()
		if got := FailOpen([]byte(raw)); got != want {
			t.Errorf("gateway-106 %s: %v", raw, got)
		}
	}
	f(`{"failOpen":true}`, true)
	f(`{"failOpen":true,"unheard":{"of":1}}`, true)
	f(`{"failOpen":false}`, false)
	f(`{"failopen":true}`, false)
	f(`{"FailOpen":true}`, false)
	f(`{"failOpen":"true"}`, false)
	f(`{"failOpen":1}`, false)
	f(`{}`, false)
	f(`null`, false)
	f(``, false)
	f(`[]`, false)
}

// TestSchema holds the published schema to the types: the same fields, and
// none besides.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	compare(t, &root, &root, reflect.TypeFor[Injector](), "rawConfig")
}

type node struct {
	Ref        string           `json:"$ref"`
	Type       string           `json:"type"`
	Additional *bool            `json:"additionalProperties"`
	Properties map[string]*node `json:"properties"`
	Items      *node            `json:"items"`
	Defs       map[string]*node `json:"$defs"`
	Says       string           `json:"description"`
}

func compare(t *testing.T, root, n *node, of reflect.Type, at string) {
	t.Helper()
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
		n = root.Defs[name]
	}
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int32: "integer", reflect.Slice: "array", reflect.Struct: "object"}
	if n == nil || n.Type != kinds[of.Kind()] {
		t.Errorf("%s is no %s in the schema", at, kinds[of.Kind()])
		return
	}
	if of.Kind() == reflect.Slice {
		compare(t, root, n.Items, of.Elem(), at+"[]")
	}
	if of.Kind() != reflect.Struct {
		return
	}
	if n.Additional == nil || *n.Additional {
		t.Errorf("%s takes other fields in the schema", at)
	}
	known := map[string]bool{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		known[name] = true
		if n.Properties[name] == nil {
			t.Errorf("%s.%s is not in the schema", at, name)
			continue
		}
		compare(t, root, n.Properties[name], of.Field(i).Type, at+"."+name)
	}
	for name := range n.Properties {
		if !known[name] {
			t.Errorf("%s.%s is in the schema only", at, name)
		}
	}
}

// FuzzRead: whatever it is given, it says what is wrong or gives what is right.
func FuzzRead(f *testing.F) {
	f.Add(`{"secretRef":{"name":"s"},"header":{"name":"x-api-key"}}`)
	f.Add(`{"aws":{"region":"us-east-1","identity":"Pod"}}`)
	f.Add(`{"oauth2":{"tokenURL":"https://a/b","clientID":"a"},"secretRef":{"name":"s"}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := Read([]byte(raw))
		if err != nil {
			return
		}
		if !in.Pod() && in.SecretRef == nil || in.Scheme == Named && in.Header == nil || in.Scheme == OAuth && in.OAuth2 == nil {
			t.Errorf("%q lacks something: %+v", raw, in)
		}
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := Read(again); err != nil || !cmp.Equal(in, same) {
			t.Errorf("%q does not mean the same when it is written again: %v", raw, err)
		}
	})
}
