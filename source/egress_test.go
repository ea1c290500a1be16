package source

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func egressOf(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "egret-system", Name: EgressConfigMap}, Data: map[string]string{EgressKey: text}}
}

// TestParseEgress: what could mean less than was written is refused, with what
// to do about it.
func TestParseEgress(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseEgress(egressOf(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	f("", "")
	f("{}", "")
	f(`namespaces: [{name: a, hosts: {allow: ["*.openai.com", api.example.com, "*", 192.0.2.7, "2001:db8::1"]}, addresses: {deny: [10.0.0.0/8, "fd00::/8"]}}]`, "")
	f(`namespaces: [{selector: {matchLabels: {a: b}}, proxy: {url: "http://proxy.corp:3128", secretRef: {name: s}, noProxy: ["*.near", 10.0.0.0/8]}}]`, "")
	f(`cluster: {pods: [10.244.0.0/16], services: [10.96.0.0/12], nodes: [192.0.2.0/24], allow: [192.0.2.7/32]}`, "")
	f(`namespace: []`, `unknown field "namespace"`)
	f(`namespaces: [{host: {}}]`, `unknown field "namespaces[0].host"`)
	f(`namespaces: [{name: a}]`+"\nnamespaces: []", "already set")
	f(`namespaces: [{name: a, selector: {}}]`, "namespaces[0]: name and selector exclude each other")
	f(`namespaces: [{selector: {matchExpressions: [{key: a, operator: Maybe}]}}]`, "selector: ")
	f(`namespaces: [{hosts: {allow: []}}]`, "hosts.allow is empty")
	f(`namespaces: [{hosts: {allow: ["https://api.example.com"]}}]`, "is no name; write api.example.com")
	f(`namespaces: [{hosts: {deny: ["api.*.com"]}}]`, "is no name")
	f(`namespaces: [{hosts: {deny: ["*."]}}]`, "is no name")
	f(`namespaces: [{addresses: {allow: [192.0.2.7]}}]`, `addresses.allow: "192.0.2.7" is no range of addresses; write it as 192.0.2.0/24`)
	f(`namespaces: [{addresses: {deny: ["::ffff:10.0.0.0/104"]}}]`, "is no range")
	f(`cluster: {nodes: [10.0.0.0/33]}`, "cluster.nodes: ")
	for _, url := range []string{"https://proxy:3128", "http://proxy", "http://proxy:0", "http://proxy:99999", "proxy:3128", "http://proxy:3128/path", "http://proxy:3128?x"} {
		f(`namespaces: [{proxy: {url: "`+url+`"}}]`, "proxy.url")
	}
	if _, err := ParseEgress(egressOf(`namespaces: [{proxy: {url: "http://u:canary@proxy:3128"}}]`)); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a password in a URL: %v", err)
	}
	if _, err := ParseEgress(&corev1.ConfigMap{Data: map[string]string{"rules.yaml": "{}"}}); err == nil || !strings.Contains(err.Error(), "has no key egress.yaml") {
		t.Errorf("another key: %v", err)
	}
}

// TestWayOut: what all entries that are about a namespace say, added up.
func TestWayOut(t *testing.T) {
	e, err := ParseEgress(egressOf(`
namespaces:
- hosts: {allow: ["*.openai.com"], deny: [bad.openai.com, "*.strict.svc.cluster.local"]}
- name: team
  hosts: {allow: [Partner.test.]}
  addresses: {allow: [192.0.2.0/24], deny: [192.0.2.66/32]}
  proxy: {url: "http://proxy:3128", noProxy: ["*.near.test", 203.0.113.0/24]}
- selector: {matchLabels: {kubernetes.io/metadata.name: lab}}
  hosts: {allow: ["*"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	name := func(namespace, host string, local, passes bool) {
		t.Helper()
		if why := e.Of(namespace, nil).Name(host, local); (why == "") != passes {
			t.Errorf("%s in %s: %q", host, namespace, why)
		}
	}
	name("other", "api.openai.com", false, true)
	name("other", "a.b.OpenAI.com.", false, true)
	name("other", "openai.com", false, false)
	name("other", "evilopenai.com", false, false)
	name("other", "bad.openai.com", false, false)
	name("other", "partner.test", false, false)
	name("team", "partner.test", false, true)
	name("team", "api.openai.com", false, true)
	name("lab", "anything.test", false, true)
	name("lab", "bad.openai.com", false, false)
	name("other", "sim.models.svc.cluster.local", true, true)
	name("other", "db.strict.svc.cluster.local", true, false)
	literal := func(namespace, a string, passes bool) {
		t.Helper()
		if why := e.Of(namespace, nil).Literal(netip.MustParseAddr(a)); (why == "") != passes {
			t.Errorf("%s in %s: %q", a, namespace, why)
		}
	}
	literal("other", "192.0.2.7", false)
	literal("team", "192.0.2.7", true)
	literal("team", "::ffff:192.0.2.7", true)
	literal("team", "192.0.2.66", false)
	literal("team", "198.51.100.1", false)
	literal("lab", "198.51.100.1", true)
	for host, want := range map[string]bool{"far.test": true, "a.near.test": false, "203.0.113.9": false, "192.0.2.7": true} {
		if got := e.Of("team", nil).Proxied(host); got != want {
			t.Errorf("%s by the proxy: %v", host, got)
		}
	}
	if e.Of("other", nil).Proxied("far.test") {
		t.Error("the proxy of a team is everybody's")
	}
	var none *Egress
	if w := none.Of("team", nil); w != nil || w.Name("any.test", false) != "" || w.Literal(netip.MustParseAddr("192.0.2.1")) != "" || w.Proxied("any.test") {
		t.Error("without rules something is refused")
	}
}

// FuzzParseEgress: rules are refused or read, and what is read can be asked.
func FuzzParseEgress(f *testing.F) {
	f.Add("namespaces: [{hosts: {allow: ['*.a']}, addresses: {deny: [10.0.0.0/8]}, proxy: {url: 'http://p:1'}}]", "a.b")
	f.Add("cluster: {pods: ['::/0']}", "192.0.2.1")
	f.Fuzz(func(t *testing.T, text, host string) {
		e, err := ParseEgress(egressOf(text))
		if err != nil {
			return
		}
		w := e.Of("ns", map[string]string{"a": "b"})
		w.Name(host, false)
		if w.Proxied(host) {
			if _, _, err := w.Proxy.Address(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestPage: the rules on the operators' page are good ones.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/addresses.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	var m corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(text), &m); err != nil || !found {
		t.Fatal(err)
	}
	e, err := ParseEgress(&m)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != EgressConfigMap || len(e.Namespaces) != 3 || e.Of("team-a", nil).Name("api.openai.com", false) != "" || e.Of("team-a", nil).Name("x.test", false) == "" {
		t.Errorf("%+v", e)
	}
}
