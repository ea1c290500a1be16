package file

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// JSON is read as RFC 8259 has it, with the lines that errors need.
func TestJSON(t *testing.T) {
	f := func(text string, want any) {
		t.Helper()
		d := document{file: "a.json", line: 1, text: []byte(text)}
		root, err := d.parse()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v, err := d.value(root)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(map[string]any{"a": want}, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	f(`{"a": "\ud83d\ude00"}`, "😀")
	f("\n\t {\"a\": \"\\u00e4\\/\\n\"}", "ä/\n")
	f(`{"a": "on"}`, "on")
	f(`{"a": {"<<": {"b": 1}}}`, map[string]any{"<<": map[string]any{"b": int64(1)}})
	f(`{"a": [9007199254740993, 1.0, 1e3, -0.5, true, null]}`, []any{int64(9007199254740993), 1.0, 1000.0, -0.5, true, nil})
	f(`{"a": {}}`, map[string]any{})
	f(`{a: "flow style is YAML"}`, "flow style is YAML")
}

func TestJSONProblems(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, problems := Load(t.Context(), Options{Paths: []string{"-"}, Stdin: strings.NewReader(text)})
		if got := strings.Join(problemLines(problems), "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	const head = "\n{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n"
	f(head+"\"metadata\": {\"name\": \"😀\"}}",
		`-:3: ConfigMap default/😀: metadata.name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character; correct the value`)
	f(head+"\"metadata\": {\"name\": \"n\"},\n\"data\":\n{\"a\": \"\\ud83d\\ude00\", \"b\":\n 7}}", `-:5: ConfigMap default/n: data.b: must be a string, not a number; put it in quotes`)
	f(head+"\"metadata\": {\"name\": \"n\",\n\"name\": \"m\"}}", `-:4: has the key "name" twice, first on line 3; remove one of the two`)
	f(head+"\"data\": "+strings.Repeat("[", 200)+strings.Repeat("]", 200)+"}", `-:3: is nested more than 100 levels deep; check that no alias contains itself`)
}

// What is refused for its size is refused before anything dear looks at it,
// and mistakes are told of a few at a time.
func TestValues(t *testing.T) {
	f := func(text string, want int, first string) {
		t.Helper()
		_, problems := Load(t.Context(), Options{Paths: []string{"-"}, Stdin: strings.NewReader(text)})
		if len(problems) != want || problems[0].String() != first {
			t.Errorf("%d problems, want %d; the first is\n%s\nwant\n%s", len(problems), want, problems[0], first)
		}
	}
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	const configMap = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"n\"}, \"data\":\n"
	const tooMany = "has more than 200000 values, those of its aliases included; split it; if it is small, write out what its aliases repeat"
	f(configMap+list(5_000_000)+"}", 1, "-:2: "+tooMany)
	f("kind: ConfigMap\ndata: "+list(maxNodes), 1, "-:2: "+tooMany)

	const gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: big}\nspec:\n  gatewayClassName: c\n"
	f(gateway+"  listeners: "+list(maxValues), 1, "-:1: Gateway default/big: has more than 8000 values; split it")
	f(gateway+"  listeners: "+list(100), maxProblems, "-:6: Gateway default/big: spec.listeners: must have at most 64 items; shorten it")
	f(gateway+"  listeners: []\n  "+strings.Repeat("x", 20)+": 1", 1, "-:7: Gateway default/big: spec.xxxxxxxxxxxxxxxxxxxx: is not a known field; remove it; known here: addresses, allowedListeners, gatewayClassName, infrastructure, listeners, tls")
	f("apiVersion: v1\nkind: Service\nmetadata: {name: big}\nspec:\n  ports: ["+strings.Repeat("{x: 1}, ", 1000)+"]", maxProblems,
		"-:5: Service default/big: spec.ports[0].x: is not a known field; remove it; known here: appProtocol, name, nodePort, port, protocol, targetPort")
}

func TestCount(t *testing.T) {
	f := func(v any, most, want int) {
		t.Helper()
		if got := count(v, most); got != want {
			t.Errorf("count(%v, %d) = %d, want %d", v, most, got, want)
		}
	}
	deep := []any{int64(1), map[string]any{"a": []any{nil, "x"}}}
	f("x", 10, 1)
	f(deep, 10, 6)
	f(deep, 2, 3) // enough to know
}
