package file

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// fleet adds what a cluster would have without anybody writing it down: the
// Service of each Gateway of ours, so that routes may name it, and the
// namespaces that objects are in, so that selectors find them.
func fleet(s *source.Snapshot) {
	for _, gw := range s.Gateways {
		class, ours := s.Class(string(gw.Spec.GatewayClassName))
		if !ours {
			continue
		}
		svc := source.FleetService(class, gw)
		key := source.Key{Kind: "Service", Namespace: svc.Namespace, Name: svc.Name}
		if at, taken := s.Origins[key]; taken {
			s.Notices = append(s.Notices, source.Notice{
				Key: key, Origin: at,
				Message: "stands in for the Service that Gateway " + gw.Namespace + "/" + gw.Name + " would get under this name",
			})
			continue
		}
		svc.Generation = 1
		complete(svc)
		s.Services = append(s.Services, svc)
		s.Origins[key] = "Gateway " + gw.Namespace + "/" + gw.Name
	}
	namespaces(s)
}

// namespaces adds a Namespace for each that objects are in and no file declares.
func namespaces(s *source.Snapshot) {
	known := map[string]bool{}
	for _, ns := range s.Namespaces {
		known[ns.Name] = true
	}
	for key := range s.Origins {
		if key.Namespace == "" || known[key.Namespace] {
			continue
		}
		known[key.Namespace] = true
		ns := &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: key.Namespace, Generation: 1},
		}
		complete(ns)
		s.Namespaces = append(s.Namespaces, ns)
	}
	slices.SortFunc(s.Namespaces, byName)
}
