package fleet

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// State is how a fleet is.
type State struct {
	// Replicas is how many pods are wanted; Updated how many are as they are
	// wanted now, and Available how many serve.
	Replicas, Updated, Available int32
	// Unsettled is set while pods of the reference are being replaced: the
	// fleet is to be applied again a moment later.
	Unsettled bool
	// Conflicts are objects of the fleet's names that are somebody else's, each
	// with what to do about it (acceptance gateway 44).
	Conflicts []string
	// Missing are kinds that are not permitted to the controller, or that the
	// API server does not know. The fleet serves without them.
	Missing []string
	// ReviewersRefused is why the pods may not have tokens and access reviewed
	// although a policy has them do so: then the policy cannot be enforced. ""
	// where they may, or need not.
	ReviewersRefused string
}

// Ready reports whether a pod serves.
func (s State) Ready() bool { return s.Available > 0 }

// read takes over what a live object says.
func (s *State) read(live *unstructured.Unstructured) error {
	if live.GetKind() != "Deployment" {
		return nil
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &d); err != nil {
		return fmt.Errorf("%s: %w", object(live), err)
	}
	s.Replicas, s.Available = 1, d.Status.AvailableReplicas
	if d.Spec.Replicas != nil {
		s.Replicas = *d.Spec.Replicas
	}
	if d.Status.ObservedGeneration >= d.Generation {
		s.Updated = d.Status.UpdatedReplicas
	}
	return nil
}

// mostAddresses is how many a Gateway's status holds (Gateway API).
const mostAddresses = 16

// Addresses returns those by which a Service, nil for none, is reached: from
// outside where a load balancer has them, else from inside the cluster; IP
// addresses first. They go into the Gateway's status (acceptance gateway 52).
func Addresses(svc *corev1.Service) (out []gwv1.GatewayStatusAddress) {
	if svc == nil {
		return nil
	}
	add := func(t gwv1.AddressType, value string) {
		if value != "" && value != corev1.ClusterIPNone {
			out = append(out, gwv1.GatewayStatusAddress{Type: &t, Value: value})
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, i := range svc.Status.LoadBalancer.Ingress {
			add(gwv1.IPAddressType, i.IP)
			add(gwv1.HostnameAddressType, i.Hostname)
		}
	} else {
		for _, ip := range svc.Spec.ClusterIPs {
			add(gwv1.IPAddressType, ip)
		}
		add(gwv1.HostnameAddressType, svc.Name+"."+svc.Namespace+".svc.cluster.local")
	}
	slices.SortStableFunc(out, func(a, b gwv1.GatewayStatusAddress) int {
		return cmp.Compare(*b.Type, *a.Type) // IPAddress before Hostname
	})
	return out[:min(len(out), mostAddresses)]
}
