//go:build cluster

package upgrade

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
)

// definitions are custom resource definitions that a test takes away and
// brings back. All are back when it ends.
type definitions struct {
	*cluster.Cluster
	kept map[string]*unstructured.Unstructured
}

const (
	gatewayAPI = ".gateway.networking.k8s.io"
	kuadrant   = ".kuadrant.io"
	own        = ".ainetworking.prototype.x-k8s.io"
)

// everything is each kind that a controller reads and a cluster may lack.
var everything = []string{
	"gatewayclasses" + gatewayAPI, "gateways" + gatewayAPI, "listenersets" + gatewayAPI, "httproutes" + gatewayAPI, "grpcroutes" + gatewayAPI,
	"backendtlspolicies" + gatewayAPI, "referencegrants" + gatewayAPI, "authpolicies" + kuadrant, "ratelimitpolicies" + kuadrant,
	"tokenratelimitpolicies" + kuadrant, "xbackenddestinations" + own, "backends" + own,
}

func newDefinitions(t *testing.T, c *cluster.Cluster) *definitions {
	t.Helper()
	d := &definitions{Cluster: c, kept: map[string]*unstructured.Unstructured{}}
	for _, name := range everything {
		o := definition(name)
		if err := c.Client().Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		kept := definition(name)
		kept.SetLabels(o.GetLabels())
		kept.SetAnnotations(o.GetAnnotations())
		kept.Object["spec"] = o.Object["spec"]
		d.kept[name] = kept
	}
	t.Cleanup(func() {
		for _, o := range d.kept {
			if err := c.Client().Create(context.Background(), o.DeepCopy()); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Errorf("%s is not brought back: %v", o.GetName(), err)
			}
		}
	})
	return d
}

func definition(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("apiextensions.k8s.io/v1")
	o.SetKind("CustomResourceDefinition")
	o.SetName(name)
	return o
}

// remove removes definitions with every object of theirs.
func (d *definitions) remove(t *testing.T, names ...string) {
	t.Helper()
	d.Kubectl(t, append([]string{"delete", "customresourcedefinition", "--timeout=60s"}, names...)...)
}

// add brings definitions back, without objects.
func (d *definitions) add(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := d.Client().Create(t.Context(), d.kept[name].DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	d.Kubectl(t, append([]string{"wait", "customresourcedefinition", "--for=condition=Established", "--timeout=60s"}, names...)...)
}
