//go:build cluster

package install

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOpenShift applies what the quickstart takes for granted, as OpenShift has
// it, and removes it again; TestQuickstart of package e2e does so with
// manifests/maas/kubernetes.
func TestOpenShift(t *testing.T) {
	c := open(t)
	const manifests, platform = "../../../manifests/maas/openshift", "../testdata/openshift/"
	finally(t, c, "delete", "--ignore-not-found", "--wait=false", "-f", platform+"objects.yaml")
	c.Kubectl(t, "apply", "-f", platform+"crds.yaml")
	c.Kubectl(t, "wait", "--for=condition=Established", "-f", platform+"crds.yaml", "--timeout=30s")
	c.Kubectl(t, "apply", "-f", platform+"objects.yaml")
	before := inventory(t, c)
	finally(t, c, "delete", "namespace", "maas-default-gateway-tier-free", "--ignore-not-found", "--wait=false")

	finally(t, c, "delete", "--ignore-not-found", "--timeout=90s", "-k", manifests)
	c.Kubectl(t, "apply", "-k", manifests)
	c.Logs(t, "egret-system", "opendatahub", "openshift-ingress")
	rolled(t, c, "egret-system", "egret-controller")
	rolled(t, c, "opendatahub", "maas-api")
	c.Kubectl(t, "wait", "gateway/maas-default-gateway", "-n", "openshift-ingress", "--for=condition=Programmed", "--timeout="+late.String())

	t.Run("the API mints a token, which lists models", func(t *testing.T) {
		people := c.Namespace(t)
		url := "http://" + c.Kubectl(t, "get", "gateway", "maas-default-gateway", "-n", "openshift-ingress", "-o", "jsonpath={.status.addresses[0].value}")
		var minted struct{ Token string }
		c.Eventually(t, soon, "a token", func() error {
			a, err := c.Post(url+"/maas-api/v1/tokens", `{"expiration": "10m"}`, "Authorization: Bearer "+c.Token(t, people, "default", "https://kubernetes.default.svc"))
			if err := a.Want(201, err); err != nil {
				return err
			}
			return json.Unmarshal([]byte(a.Body), &minted)
		})
		a, err := c.Get(url+"/v1/models", "Authorization: Bearer "+minted.Token)
		if err := a.Want(200, err); err != nil {
			t.Error(err)
		}
	})
	t.Run("an operator of Open Data Hub leaves the API as it is", func(t *testing.T) {
		if v := c.Kubectl(t, "get", "deployment", "maas-api", "-n", "opendatahub", "-o", `jsonpath={.metadata.annotations.opendatahub\.io/managed}`); v != "false" {
			t.Errorf("managed is %q", v)
		}
	})
	t.Run("what is removed leaves the platform as it was", func(t *testing.T) {
		c.Kubectl(t, "delete", "--timeout=110s", "-k", manifests)
		c.Eventually(t, soon, "nothing of it is there", func() error {
			// The certificate that was made for the gateway is in a namespace that stays.
			return is(strings.Join(left(t, c, before, "Secret openshift-ingress/maas-gateway-tls"), "\n"), "")
		})
	})
}
