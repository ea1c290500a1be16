package source

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Controllers whose GatewayClasses are ours. Each has its own word in the
// names of what runs per Gateway, so that manifests that name such a Service
// work whichever data plane stands behind it.
const (
	ControllerWG    = "sigs.k8s.io/wg-ai-gateway-envoy-controller"
	ControllerEgret = "egret.dev/gateway-controller"
)

// Marks on the objects that run per Gateway.
const (
	// LabelManaged holds the controller's name with "/" as "-". An object
	// without it is somebody else's and is left alone.
	LabelManaged = "aigateway.networking.k8s.io/managed"
	// AnnotationGateway holds namespace/name of the Gateway that an object
	// belongs to.
	AnnotationGateway = "egret.dev/gateway"
)

// Class is a GatewayClass of ours.
type Class struct {
	Name, Controller string
	// Internal is set when Gateways of the class get a Service that is only
	// reachable from inside the cluster (acceptance gateway 120).
	Internal bool
	// UID is that of the GatewayClass object, "" where there is none.
	UID types.UID
}

// Class returns the class of that name and whether it is ours. A GatewayClass
// object decides by its controllerName; where there is none, the well-known
// names wg-ai-gateway, egret and egret-internal are ours and all others are
// somebody else's.
func (s *Snapshot) Class(name string) (Class, bool) {
	c := Class{Name: name, Internal: name == "egret-internal"}
	for _, o := range s.GatewayClasses {
		if o.Name == name {
			c.Controller, c.UID = string(o.Spec.ControllerName), o.UID
			return c, c.Controller == ControllerWG || c.Controller == ControllerEgret
		}
	}
	switch name {
	case "wg-ai-gateway":
		c.Controller = ControllerWG
	case "egret", "egret-internal":
		c.Controller = ControllerEgret
	default:
		return c, false
	}
	return c, true
}

// word is the class's part in names: envoy or egret.
func (c Class) word() string {
	if c.Controller == ControllerWG {
		return "envoy"
	}
	return "egret"
}

// ManagedLabel returns the value of LabelManaged for objects of the class.
func (c Class) ManagedLabel() string { return strings.ReplaceAll(c.Controller, "/", "-") }

// longest is how long the name of a Service, a label's value and the name of a
// Service's port may be.
const longest = 63

// ResourceName returns the name of a Gateway's Service, Deployment,
// ServiceAccount and ConfigMap: envoy-poc-gateway for poc-gateway in
// namespace default, envoy-<namespace>-<name> in any other. What would be no
// name of a Service, because it is too long or has dots, is shortened and ends
// with digits of its hash (acceptance gateway 39, 40, 46).
func ResourceName(c Class, namespace, name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if namespace == "default" {
		return label(c.word() + "-" + name)
	}
	return label(c.word() + "-" + namespace + "-" + name)
}

// GatewayLabel returns the value of label
// gateway.networking.k8s.io/gateway-name for a Gateway of that name: the name,
// or where a label's value cannot be as long, its beginning and digits of its
// hash.
func GatewayLabel(name string) string {
	if len(name) <= longest {
		return name
	}
	return label(name)
}

// label returns s when it is a DNS label, else a DNS label that begins like s
// and ends with 10 hex digits of the hash of the whole of s.
func label(s string) string {
	if len(s) <= longest && !strings.Contains(s, ".") {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	head := strings.ReplaceAll(s[:min(len(s), longest-11)], ".", "-")
	return strings.TrimRight(head, "-") + "-" + hex.EncodeToString(sum[:5])
}

// NodeID returns the xDS node id of a Gateway's data plane: the class's word,
// "-proxy-" and 12 hex digits of the SHA-256 of namespace/name.
func NodeID(c Class, namespace, name string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	return c.word() + "-proxy-" + hex.EncodeToString(sum[:6])
}

// FleetService returns the Service that the fleet gives a Gateway: one port
// per distinct listener port, in listener order, named after the first
// listener on it (acceptance gateway 41). Dots in a name become dashes; a name
// that two ports would then share gets the number of the second.
func FleetService(c Class, gw *gwv1.Gateway) *corev1.Service {
	name := ResourceName(c, gw.Namespace, gw.Name)
	svc := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   gw.Namespace,
			Name:        name,
			Labels:      map[string]string{LabelManaged: c.ManagedLabel()},
			Annotations: map[string]string{AnnotationGateway: gw.Namespace + "/" + gw.Name},
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name}},
	}
	if c.Internal {
		svc.Spec.Type = corev1.ServiceTypeClusterIP
	}
	named := map[string]bool{}
	seen := map[gwv1.PortNumber]bool{}
	for i, l := range gw.Spec.Listeners {
		if seen[l.Port] {
			continue
		}
		seen[l.Port] = true
		p := servicePort(l, i)
		if named[p.Name] {
			p.Name = portName(p.Name, "-"+strconv.Itoa(int(l.Port)))
		}
		named[p.Name] = true
		svc.Spec.Ports = append(svc.Spec.Ports, p)
	}
	return svc
}

func servicePort(l gwv1.Listener, index int) corev1.ServicePort {
	protocol := strings.ToLower(string(l.Protocol))
	name := strings.ReplaceAll(string(l.Name), ".", "-")
	if name == "" {
		name = protocol + "-" + strconv.Itoa(index)
	}
	return corev1.ServicePort{
		Name:        portName(name, ""),
		Port:        int32(l.Port),
		Protocol:    corev1.ProtocolTCP,
		AppProtocol: &protocol,
	}
}

// portName returns name and suffix in no more characters than a port's name
// may have.
func portName(name, suffix string) string {
	return strings.TrimRight(name[:min(len(name), longest-len(suffix))], "-") + suffix
}
