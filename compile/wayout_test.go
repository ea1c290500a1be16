package compile

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// TestLiterals: an address that no plane will dial is told of before one tries,
// as far as that is known.
func TestLiterals(t *testing.T) {
	rules, err := source.ParseEgress(rulesOf("cluster: {services: [10.96.0.0/12], allow: [10.96.0.7/32]}\nnamespaces: [{addresses: {deny: [198.51.100.0/24]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	c := &compiler{egress: rules, ways: map[string]*source.WayOut{}, index: newIndex(&source.Snapshot{})}
	f := func(alone bool, host, want string) {
		t.Helper()
		c.options.Alone = alone
		b := &backend{}
		b.plan.Host = host
		got := ""
		if p := c.outward("team", b); p != nil {
			got = p.reason + ": " + p.message
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	for _, alone := range []bool{true, false} {
		f(alone, "192.0.2.7", "")
		f(alone, "169.254.169.254", "AddressNotAllowed: address 169.254.169.254 is never dialled")
		f(alone, "64:ff9b::a9fe:a9fe", "AddressNotAllowed: ")
		f(alone, "198.51.100.7", "HostNotAllowed: 198.51.100.7: the operator denies this address")
		f(alone, "64:ff9b::c633:6407", "HostNotAllowed: ")
	}
	f(true, "127.0.0.1", "")
	f(false, "127.0.0.1", "AddressNotAllowed: address 127.0.0.1 is the gateway's own pod")
	f(false, "64:ff9b::7f00:1", "AddressNotAllowed: address 64:ff9b::7f00:1 is the gateway's own pod")
	f(false, "::7f00:1", "AddressNotAllowed: address ::7f00:1 is the gateway's own pod")
	f(true, "10.96.0.1", "")
	f(false, "10.96.0.1", "AddressNotAllowed: address 10.96.0.1 is in 10.96.0.0/12")
	f(false, "10.96.0.7", "")
}

func rulesOf(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{Data: map[string]string{source.EgressKey: text}}
}

// TestTokenEndpoints: the token_uri of a service account's key is a name that a
// user wrote down; Google's own is not.
func TestTokenEndpoints(t *testing.T) {
	rules, err := source.ParseEgress(rulesOf("cluster: {nodes: [10.0.0.0/16]}\nnamespaces: [{name: team, hosts: {allow: [\"*.example.com\"]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := &compiler{egress: rules, ways: map[string]*source.WayOut{}, index: newIndex(&source.Snapshot{})}
	f := func(namespace, uri, want string) {
		t.Helper()
		document, err := json.Marshal(map[string]string{
			"type": "service_account", "client_email": "a@example.com", "token_uri": uri,
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := &plan.Account{Scheme: plan.SchemeGCP, Key: "key", Token: &plan.Token{}}
		got := ""
		if items, err := itemsOf(a, map[string][]byte{"key": document}); err != nil {
			got = err.Error()
		} else if p := c.asked(namespace, &injector{name: "e"}, a, items); p != nil {
			got = p.reason + ": " + p.message
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s in %s: %q, want %q", uri, namespace, got, want)
		}
	}
	f("team", "", "")
	f("team", "https://oauth2.googleapis.com/token", "")
	f("team", "https://tokens.example.com/", "")
	f("team", "https://tokens.test/", "HostNotAllowed: extension e: token endpoint tokens.test: it is none of the names")
	f("team", "https://oauth2.googleapis.com:8443/token", "HostNotAllowed: extension e: token endpoint oauth2.googleapis.com: it is none")
	f("free", "https://tokens.test/", "")
	f("free", "https://10.0.0.5:10250/", "AddressNotAllowed: extension e: token endpoint address 10.0.0.5 is in 10.0.0.0/16")
	f("free", "https://169.254.169.254/", "AddressNotAllowed: ")
	f("free", "https://gw.team.gateway.invalid/", `does not work: what is under "key" has a token_uri that is no https address`)
}
