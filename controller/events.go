package controller

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/egret-gateway/egret/source"
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
	"GatewayClass": "gateway.networking.k8s.io/v1", "Gateway": "gateway.networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1",
	"GRPCRoute": "gateway.networking.k8s.io/v1", "ListenerSet": "gateway.networking.k8s.io/v1",
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
// another reason, since the last time (acceptance gateway 118).
func (e *events) tell(cs []source.Condition) {
	next := map[told]string{}
	for _, c := range cs {
		if !c.Bad() || c.Reason == "Pending" {
			continue
		}
		at := told{c.Key(), c.Parent, c.Type}
		next[at] = c.Reason + c.Message
		if e.told[at] == next[at] {
			continue
		}
		e.recorder.Event(&corev1.ObjectReference{
			APIVersion: apiVersions[c.Kind], Kind: c.Kind, Namespace: c.Namespace, Name: c.Name,
		}, corev1.EventTypeWarning, c.Reason, c.Type+": "+c.Message)
	}
	e.told = next
}
