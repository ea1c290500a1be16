package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/kube"
)

// events tells the owners of objects what was refused, as Events. The
// recorder joins repetitions and bounds how many are written.
type events struct {
	config   *rest.Config
	name     string
	log      *slog.Logger
	recorder record.EventRecorder
	sink     record.EventBroadcaster
	told     map[told]string // message by condition that is bad
}

// told identifies a condition.
type told struct {
	source.Key
	parent source.Ref
	typ    string
}

// apiVersions are those of the kinds that conditions are about.
var apiVersions = map[string]string{
	"ConfigMap":    "v1",
	"GatewayClass": "gateway.networking.k8s.io/v1", "Gateway": "gateway.networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1",
	"GRPCRoute": "gateway.networking.k8s.io/v1", "ListenerSet": "gateway.networking.k8s.io/v1", "BackendTLSPolicy": "gateway.networking.k8s.io/v1",
	"XBackend":            "gateway.networking.x-k8s.io/v1alpha1",
	"XBackendDestination": "ainetworking.prototype.x-k8s.io/v0alpha0",
	"AuthPolicy":          "kuadrant.io/v1", "RateLimitPolicy": "kuadrant.io/v1", "TokenRateLimitPolicy": "kuadrant.io/v1alpha1",
}

func newEvents(config *rest.Config, name string, log *slog.Logger) *events {
	sink := record.NewBroadcaster()
	return &events{
		config: config, name: name, log: log, sink: sink, told: map[told]string{},
		recorder: sink.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: name}),
	}
}

// Run sends events until ctx ends. Where they are not permitted they are lost,
// which the recorder logs at debug level.
func (e *events) Run(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(e.config)
	if err != nil {
		return err
	}
	watch := e.sink.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events("")})
	<-ctx.Done()
	watch.Stop()
	e.sink.Shutdown()
	return nil
}

// tell records an Event for every condition that has become bad, or bad for
// another reason, since the last time (acceptance gateway 118). Of a condition
// that is held nothing new is said.
func (e *events) tell(s *source.Snapshot, st *kube.Status) {
	next := map[told]string{}
	for _, c := range st.Conditions {
		at := told{c.Key(), c.Parent, c.Type}
		if st.Holds(c) {
			if was, bad := e.told[at]; bad {
				next[at] = was
			}
			continue
		}
		if !c.Bad() && !sight.Bad(c) || c.Reason == "Pending" {
			continue
		}
		next[at] = c.Reason + c.Message
		if e.told[at] == next[at] {
			continue
		}
		e.recorder.Event(reference(s, c.Key()), corev1.EventTypeWarning, c.Reason, c.Type+": "+c.Message)
	}
	e.told = next
}

// turned records an Event for calls that a policy has refused.
func (e *events) turned(s *source.Snapshot, key source.Key, r sight.Refusal) {
	calls := "A call was refused"
	if r.Calls > 1 {
		calls = fmt.Sprintf("%d calls were refused, the last", r.Calls)
	}
	e.recorder.Event(reference(s, key), corev1.EventTypeWarning, "Refused", fmt.Sprintf("%s with %d (%s): %s", calls, r.Status, r.Code, r.Text))
}

// reference is what an Event names its object by.
func reference(s *source.Snapshot, key source.Key) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: apiVersions[key.Kind], Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, UID: uidOf(s, key)}
}

// uidOf returns the UID of an object that conditions are about: `kubectl
// describe` finds an object's Events by it.
func uidOf(s *source.Snapshot, key source.Key) types.UID {
	switch key.Kind {
	case "ConfigMap":
		return uidIn(s.ConfigMaps, key)
	case "GatewayClass":
		return uidIn(s.GatewayClasses, key)
	case "Gateway":
		return uidIn(s.Gateways, key)
	case "ListenerSet":
		return uidIn(s.ListenerSets, key)
	case "HTTPRoute":
		return uidIn(s.HTTPRoutes, key)
	case "GRPCRoute":
		return uidIn(s.GRPCRoutes, key)
	case "BackendTLSPolicy":
		return uidIn(s.BackendTLSPolicies, key)
	case "XBackend":
		return uidIn(s.XBackends, key)
	case "XBackendDestination":
		return uidIn(s.Backends, key)
	case "AuthPolicy":
		return uidIn(s.AuthPolicies, key)
	case "RateLimitPolicy":
		return uidIn(s.RateLimitPolicies, key)
	case "TokenRateLimitPolicy":
		return uidIn(s.TokenRateLimitPolicies, key)
	}
	return ""
}

// uidIn finds an object in a list that is sorted as those of a snapshot are.
func uidIn[T metav1.Object](list []T, key source.Key) types.UID {
	i, found := slices.BinarySearchFunc(list, key, func(o T, k source.Key) int {
		return cmp.Or(strings.Compare(o.GetNamespace(), k.Namespace), strings.Compare(o.GetName(), k.Name))
	})
	if !found {
		return ""
	}
	return list[i].GetUID()
}
