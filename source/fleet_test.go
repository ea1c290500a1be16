package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func classOf(t *testing.T, s Snapshot, name string) Class {
	t.Helper()
	c, ours := s.Class(name)
	if !ours {
		t.Fatalf("class %s is not ours", name)
	}
	return c
}

// The names of what runs per Gateway are DNS labels whatever the Gateway's are.
func TestLongNames(t *testing.T) {
	wg := classOf(t, Snapshot{}, "wg-ai-gateway")
	f := func(test, namespace, name, want string) {
		t.Run(test, func(t *testing.T) {
			got := ResourceName(wg, namespace, name)
			if got != want {
				t.Errorf("%s/%s: %s, want %s", namespace, name, got, want)
			}
			if errs := validation.IsDNS1035Label(got); errs != nil {
				t.Errorf("%s is no name of a Service: %v", got, errs)
			}
		})
	}
	f("gateway-39 in namespace default", "default", "httpbin-gateway", "envoy-httpbin-gateway")
	f("gateway-40 in another namespace", "foo", "bar", "envoy-foo-bar")
	f("B-36 63 characters stay", "default", strings.Repeat("g", 57), "envoy-"+strings.Repeat("g", 57))
	f("gateway-46 B-36 64 characters are cut", "default", strings.Repeat("g", 58), "envoy-"+strings.Repeat("g", 46)+"-ac2be4cdf4")
	f("gateway-46 another end, another name", "default", strings.Repeat("g", 57)+"h", "envoy-"+strings.Repeat("g", 46)+"-a0ff38870e")
	f("gateway-46 no dash before the hash is doubled", strings.Repeat("n", 45), "g-with-a-long-name", "envoy-"+strings.Repeat("n", 45)+"-7c05c2eec6")
	f("B-36 dots", "default", "team.a", "envoy-team-a-fd42b24291")

	t.Run("B-36 a label's value", func(t *testing.T) {
		if got := GatewayLabel("team.a"); got != "team.a" {
			t.Errorf("a short name becomes %s", got)
		}
		if got := GatewayLabel(strings.Repeat("x.", 100)); len(validation.IsValidLabelValue(got)) > 0 || len(got) > 63 {
			t.Errorf("%s is no label's value", got)
		}
	})
}

func TestServicePortNames(t *testing.T) {
	t.Run("gateway-41 B-36 each port of a Service has a name of its own", func(t *testing.T) {
		long := strings.Repeat("l", 62)
		gw := &gwv1.Gateway{Spec: gwv1.GatewaySpec{Listeners: []gwv1.Listener{
			{Name: "a.b", Port: 80}, {Name: "a-b", Port: 81}, {Name: gwv1.SectionName(long + ".one"), Port: 82}, {Name: gwv1.SectionName(long + ".two"), Port: 443},
		}}}
		var got []string
		for _, p := range FleetService(Class{}, gw).Spec.Ports {
			got = append(got, p.Name)
			if errs := validation.IsDNS1123Label(p.Name); errs != nil {
				t.Errorf("port %d: %s: %v", p.Port, p.Name, errs)
			}
		}
		want := []string{"a-b", "a-b-81", long, long[:59] + "-443"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}

// The vectors of the reference, and their counterparts for our own class.
func TestNames(t *testing.T) {
	f := func(class, namespace, name, wantResource, wantNode string) {
		t.Helper()
		c := classOf(t, Snapshot{}, class)
		if got := ResourceName(c, namespace, name); got != wantResource {
			t.Errorf("%s %s/%s: resource name %s, want %s", class, namespace, name, got, wantResource)
		}
		if got := NodeID(c, namespace, name); got != wantNode {
			t.Errorf("%s %s/%s: node id %s, want %s", class, namespace, name, got, wantNode)
		}
	}
	f("wg-ai-gateway", "default", "httpbin-gateway", "envoy-httpbin-gateway", "envoy-proxy-ee37a5ff072b")
	f("wg-ai-gateway", "default", "httpbin-tls-gateway", "envoy-httpbin-tls-gateway", "envoy-proxy-80154d477de6")
	f("wg-ai-gateway", "default", "poc-gateway", "envoy-poc-gateway", "envoy-proxy-de369ccce89a")
	f("wg-ai-gateway", "openshift-ingress", "maas-default-gateway", "envoy-openshift-ingress-maas-default-gateway", "envoy-proxy-1efacc0605dc")
	f("egret", "default", "poc-gateway", "egret-poc-gateway", "egret-proxy-de369ccce89a")
	f("egret-internal", "openshift-ingress", "maas-default-gateway", "egret-openshift-ingress-maas-default-gateway", "egret-proxy-1efacc0605dc")

	wg := classOf(t, Snapshot{}, "wg-ai-gateway")
	if got := ResourceName(wg, "default", "My_Gateway"); got != "envoy-my-gateway" {
		t.Errorf("a name with capitals and underscores becomes %s", got)
	}
	if got := wg.ManagedLabel(); got != "sigs.k8s.io-wg-ai-gateway-envoy-controller" {
		t.Errorf("managed label is %s", got)
	}
}

func TestClass(t *testing.T) {
	class := func(name, controller string) *gwv1.GatewayClass {
		return &gwv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: gwv1.GatewayClassSpec{ControllerName: gwv1.GatewayController(controller)}}
	}
	s := Snapshot{GatewayClasses: []*gwv1.GatewayClass{
		class("mine", ControllerEgret),
		class("old", ControllerWG),
		class("egret", "example.com/somebody-else"),
		class("openshift-default", "openshift.io/gateway-controller/v1"),
	}}
	f := func(name, wantController string, wantOurs bool) {
		t.Helper()
		c, ours := s.Class(name)
		if ours != wantOurs || ours && c.Controller != wantController {
			t.Errorf("class %s: %+v, ours %v", name, c, ours)
		}
	}
	f("mine", ControllerEgret, true)
	f("old", ControllerWG, true)
	f("wg-ai-gateway", ControllerWG, true)
	f("egret-internal", ControllerEgret, true)
	f("egret", "", false) // the object decides, not the name
	f("openshift-default", "", false)
	f("istio", "", false)
}

func TestFleetService(t *testing.T) {
	gw := &gwv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "poc-gateway"},
		Spec: gwv1.GatewaySpec{Listeners: []gwv1.Listener{
			{Name: "web.http", Port: 80, Protocol: gwv1.HTTPProtocolType},
			{Name: "again", Port: 80, Protocol: gwv1.HTTPProtocolType},
			{Name: "", Port: 443, Protocol: gwv1.HTTPSProtocolType},
		}},
	}
	http, https := "http", "https"
	want := corev1.ServiceSpec{
		Type:     corev1.ServiceTypeLoadBalancer,
		Selector: map[string]string{"app": "envoy-poc-gateway"},
		Ports: []corev1.ServicePort{
			{Name: "web-http", Port: 80, Protocol: corev1.ProtocolTCP, AppProtocol: &http},
			{Name: "https-2", Port: 443, Protocol: corev1.ProtocolTCP, AppProtocol: &https},
		},
	}
	svc := FleetService(classOf(t, Snapshot{}, "wg-ai-gateway"), gw)
	if diff := cmp.Diff(want, svc.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if svc.Annotations[AnnotationGateway] != "default/poc-gateway" {
		t.Errorf("annotations are %v", svc.Annotations)
	}
	if svc := FleetService(classOf(t, Snapshot{}, "egret-internal"), gw); svc.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("the Service of an internal Gateway is of type %s", svc.Spec.Type)
	}
}

func TestBad(t *testing.T) {
	f := func(typ string, status metav1.ConditionStatus, reason string, want bool) {
		t.Helper()
		if got := (Condition{Type: typ, Status: status, Reason: reason}).Bad(); got != want {
			t.Errorf("%s=%s (%s): bad is %v", typ, status, reason, got)
		}
	}
	f("Accepted", "True", "Accepted", false)
	f("Accepted", "False", "NoMatchingParent", true)
	f("Accepted", "Unknown", "Pending", false)
	f("ResolvedRefs", "False", "BackendNotFound", true)
	f("Enforced", "False", "Overridden", false)
	f("Enforced", "False", "Invalid", true)
	f("Conflicted", "True", "HostnameConflict", true)
	f("Conflicted", "False", "NoConflicts", false)
	f("PartiallyInvalid", "True", "UnsupportedValue", true)
	f("Degraded", "True", "ClusterLocalHostname", false)
}
