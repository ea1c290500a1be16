package fleet

import (
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/pod"
)

// A Gateway's addresses are those of its Service, each with its type.
func TestAddresses(t *testing.T) {
	f := func(test string, typ corev1.ServiceType, clusterIPs []string, balancer []corev1.LoadBalancerIngress, want ...string) {
		t.Run(test, func(t *testing.T) {
			svc := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "egret-team-g"},
				Spec:       corev1.ServiceSpec{Type: typ, ClusterIPs: clusterIPs},
			}
			svc.Status.LoadBalancer.Ingress = balancer
			var got []string
			for _, a := range Addresses(svc) {
				got = append(got, string(*a.Type)+" "+a.Value)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	inside := []string{"10.96.0.7", "fd00::7"}
	const dns = "Hostname egret-team-g.team.svc.cluster.local"
	if got := Addresses(nil); len(got) != 0 {
		t.Errorf("of no Service: %v", got)
	}
	f("gateway-52 B-06 none before the balancer has some", corev1.ServiceTypeLoadBalancer, inside, nil)
	f("gateway-52 B-06 an address and a name, as on AWS", corev1.ServiceTypeLoadBalancer, inside,
		[]corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}, {IP: "192.0.2.1"}},
		"IPAddress 192.0.2.1", "Hostname lb.example.com")
	f("gateway-120 gateway-52 inside the cluster", corev1.ServiceTypeClusterIP, inside, nil,
		"IPAddress 10.96.0.7", "IPAddress fd00::7", dns)
	f("a port of the nodes", corev1.ServiceTypeNodePort, inside, nil, "IPAddress 10.96.0.7", "IPAddress fd00::7", dns)
	f("no address of its own", corev1.ServiceTypeClusterIP, []string{corev1.ClusterIPNone}, nil, dns)
	f("no more than a status holds", corev1.ServiceTypeLoadBalancer, nil, slices.Repeat([]corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}, 17),
		slices.Repeat([]string{"IPAddress 192.0.2.1"}, 16)...)
}

// What is mounted is where Envoy and the engine beside it look.
func TestPaths(t *testing.T) {
	f := func(want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("mounted as %s, looked for at %s", got, want)
		}
	}
	f(envoy.TokenPath, path.Join(dirToken, fileToken))
	f(envoy.CAPath, path.Join(dirConfig, fileCA))
	f(path.Dir(envoy.SocketPath), dirRun)
	f(path.Dir(envoy.AdminPath), dirRun)
	f(path.Dir(pod.KeepPath), dirKeep)
}
