package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// TestFronts: pods of releases before plan.Format 2 read every plan that says
// nothing of who fronts whom. Only a ledger, where such a call would be written
// twice, is worth more.
func TestFronts(t *testing.T) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "back", Annotations: map[string]string{source.AnnotationGateway: "shop/back"}}}
	service.Spec.Ports = []corev1.ServicePort{{Port: 80}}
	port := gwv1.PortNumber(80)
	route := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "r"}}
	route.Spec.ParentRefs = []gwv1.ParentReference{{Name: "front"}}
	route.Spec.Rules = []gwv1.HTTPRouteRule{{BackendRefs: []gwv1.HTTPBackendRef{{BackendRef: gwv1.BackendRef{
		BackendObjectReference: gwv1.BackendObjectReference{Name: "back", Port: &port}}}}}}
	settings := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "egret-system", Name: SettingsSecret}, Data: map[string][]byte{}}
	s := served("egret", "front", "back")
	s.HTTPRoutes, s.Services, s.Secrets = []*gwv1.HTTPRoute{route}, []*corev1.Service{service}, []*corev1.Secret{settings}
	f := func(name, ledger, fronts string, needs int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			c := leading(t)
			settings.Data["ledger"] = []byte(ledger)
			c.take(s)
			p := c.gateways["shop/front"].plan
			if len(p.Backends) != 1 || p.Backends[0].Fronts != fronts || p.Needs() != needs {
				t.Errorf("format %d, backends %+v", p.Needs(), p.Backends)
			}
		})
	}
	f("without a ledger it is left out", "", "", 1)
	f("with one it is said", "postgres://ledger", "shop/back", 2)
}
