//go:build cluster

package kube

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

func TestHop(t *testing.T) {
	w := start(t, "hop")
	if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), newServiceAccount(gatewayHome, "other"))); err != nil {
		t.Fatal(err)
	}
	f := func(name, method, path, proof string, want int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			header := map[string]string{maas.HeaderUsername: "root", maas.HeaderGroup: `["admin-group"]`, "Authorization": "Bearer x"}
			if proof != "" {
				header[plan.ProofHeader] = proof
			}
			if a := w.send(method, path, "", header); a.Status != want {
				t.Errorf("%+v", a)
			}
		})
	}
	audience := w.token(gatewayHome, gatewayUser, "egret-xds")
	other := w.token(gatewayHome, "other", source.ProofAudience)
	f("the kubelet's probe needs no proof", "GET", "/health", "", 200)
	f("a request without proof", "GET", "/v1/api-keys", "", 401)
	f("the tier lookup wants one as well", "POST", "/v1/tiers/lookup", "", 401)
	f("a proof that is garbage", "GET", "/v1/api-keys", "x", 401)
	f("the gateway's token for somebody else", "GET", "/v1/api-keys", audience, 401)
	f("the token of another ServiceAccount", "GET", "/v1/api-keys", other, 401)
	f("the gateway", "GET", "/v1/api-keys", w.proof, 200)
	t.Run("other accounts, if they are named", func(t *testing.T) {
		w := start(t, "hop", func(c *maas.Config) { c.GatewayAccounts = maas.Accounts{gatewayHome + "/other"} })
		for proof, want := range map[string]int{other: 200, w.proof: 401} {
			a := w.send("GET", "/v1/api-keys", "", map[string]string{maas.HeaderUsername: "a", maas.HeaderGroup: `["b"]`, plan.ProofHeader: proof})
			if a.Status != want {
				t.Errorf("%+v", a)
			}
		}
	})
	t.Run("maas-27 maas-28 maas-29 maas-69 without proof of the hop everybody is believed", func(t *testing.T) {
		w := start(t, "hop", func(c *maas.Config) { c.Proof = maas.ProofNone })
		if a := w.send("POST", "/v1/tokens", "", nil); a.Status != 500 || a.field("refId") != "001" {
			t.Errorf("%+v", a)
		}
		if a := w.send("GET", "/v1/models", "", map[string]string{maas.HeaderUsername: "a", maas.HeaderGroup: `["b"]`}); a.Status != 401 {
			t.Errorf("%+v", a)
		}
	})
}

func TestTiersAndRegistryReload(t *testing.T) {
	w := start(t, "reload")
	registry := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: maas.RegistryConfigMap},
		Data:       map[string]string{"models": "- {id: gpt-4-external, provider: openai, more: ignored}"},
	}
	listed := func() bool {
		a := w.as("a", []string{"system:authenticated"}, "GET", "/v1/models", "")
		return a.Status == http.StatusOK && strings.Contains(a.Body, "gpt-4-external")
	}
	t.Run("maas-75 the registry is read again, without routes or models in the cluster", func(t *testing.T) {
		w.must(admin.Create(t.Context(), registry))
		w.eventually("the model is listed", listed)
		w.must(admin.Delete(t.Context(), registry))
		w.eventually("the model is not listed", func() bool { return !listed() })
	})
}

func TestGatewayCertificate(t *testing.T) {
	const name = "made-tls"
	w := start(t, "certificate", func(c *maas.Config) { c.GatewayCertificate, c.GatewayHost = name, "maas.example.com" })
	secret := &corev1.Secret{}
	w.eventually("the Secret is there", func() bool {
		return admin.Get(t.Context(), client.ObjectKey{Namespace: gatewayHome, Name: name}, secret) == nil
	})
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	w.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey])
	for _, host := range []string{"maas.example.com", gatewayUser + "." + gatewayHome + ".svc.cluster.local"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	t.Run("one that is there is left alone", func(t *testing.T) {
		direct, err := NewClient(podConfig())
		w.must(err)
		g := &gatewayCertificate{client: direct, config: w.config, log: w.log, now: time.Now}
		w.must(g.ensure(t.Context()))
		var after corev1.Secret
		w.must(admin.Get(t.Context(), client.ObjectKeyFromObject(secret), &after))
		if after.ResourceVersion != secret.ResourceVersion {
			t.Error("the Secret was changed")
		}
	})
}
