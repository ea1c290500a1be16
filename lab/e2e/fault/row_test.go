package fault

import "time"

// Outcomes of a call that are no status.
const (
	none = "no answer" // refused, or closed before the header of an answer
	cut  = "cut"       // broken off after the header
)

// target is what is killed: a container, a component of the cluster, or first
// the one and at once the other.
type target struct {
	namespace string // by default the one of Redis and PostgreSQL
	lease     string // its holder's pod
	labels    string // else the pod that has been restarted least
	container string // by default the first
	component string // of the cluster
}

// row says what clients may see from the moment something is killed until it
// has recovered, beside what is right.
type row struct {
	killed string
	target target
	pods   int // of the gateway in front; 0 = 1
	// calls, streams and api are what may come of calls of a model, of its
	// streams and of calls of the MaaS API.
	calls, streams, api []string
	// strangers is what may come of calls of a model with a token that has not
	// been reviewed lately; it never is 200 for one that was revoked.
	strangers []string
	// carries: what the killed process had answered within the last moment may
	// be missing from ledger and counters, and its streams end.
	carries bool
	why     string // for readers of the page
}

const (
	// longest bounds any one call, and any one stream until its header.
	longest = 5 * time.Second
	// recovery bounds how long anything but what is right may be seen.
	recovery = 30 * time.Second
	// moment is how long before its end a killed process may have answered what
	// it had not charged yet.
	moment = time.Second
)

const (
	maasGateway = "gateway.networking.k8s.io/gateway-name=maas-default-gateway"
	pocGateway  = "gateway.networking.k8s.io/gateway-name=poc-gateway"
)

var rows = []row{
	{
		killed: "controller of class `egret`, the leader of two",
		target: target{namespace: "egret-system", lease: "egret-egret-dev-gateway-controller"},
		why:    "The data planes serve their last plan. The other controller leads after 15 s at most; a revocation meanwhile is written at once and reaches the planes then.",
	},
	{
		killed: "controller of class `wg-ai-gateway`, the only one",
		target: target{namespace: "ai-gateway-system", labels: "app.kubernetes.io/name=ai-gateway-controller"},
		why:    "As above, once it has been restarted.",
	},
	{
		killed: "native data plane, the only pod", carries: true,
		target: target{namespace: "openshift-ingress", labels: maasGateway},
		calls:  []string{none, cut}, streams: []string{none, cut}, api: []string{none, cut},
		why: "Nobody listens until the container has been restarted: connections are refused, and what was under way is closed.",
	},
	{
		killed: "native data plane, one pod of two", pods: 2, carries: true,
		target: target{namespace: "openshift-ingress", labels: maasGateway},
		calls:  []string{none, cut}, streams: []string{none, cut}, api: []string{none, cut},
		why: "What was under way in that pod, and connections made to it before kube-proxy has learnt that it is gone. The other pod serves on.",
	},
	{
		killed: "Envoy", target: target{namespace: "default", labels: pocGateway, container: "envoy"},
		calls: []string{"502", "503"}, streams: []string{"502", "503", cut},
		why: "The gateway in front says that the one behind does not answer, in the caller's dialect; Envoy says 503 until its first configuration is whole. The MaaS API is not behind it.",
	},
	{
		killed: "`egret extproc`", target: target{namespace: "default", labels: pocGateway, container: "extproc"},
		calls: []string{"500", "502", "503"}, streams: []string{"500", "502", "503", cut},
		why: "Envoy lets nothing past an engine that does not decide.",
	},
	{
		killed: "MaaS API", target: target{namespace: "opendatahub", labels: "app.kubernetes.io/name=maas-api"},
		api: []string{"502", "503"},
		why: "Calls need it for who has not been seen for five minutes only.",
	},
	{
		killed: "Redis", target: target{labels: "app=redis"},
		why: "Limits let pass what they cannot check, unless they are set to refuse it. Charges are kept, on disk as well, and delivered when it is back.",
	},
	{
		killed: "PostgreSQL", target: target{labels: "app=postgres"},
		api: []string{"503"},
		why: "Lines of the ledger are kept and written when it is back. Keys cannot be listed or made; tokens can. Revoking all tokens has them refused, and answers 503 with the request to revoke again, because their keys are still listed as active.",
	},
	{
		killed: "API server", target: target{component: "kube-apiserver"},
		api: []string{"500", "503"}, strangers: []string{"500"},
		why: "Who has been reviewed within ten minutes goes on while the API server is away for less than ten seconds, as here. Later revocations might be missed: 500, as for who has not been reviewed. Minting needs the API server.",
	},
	{
		killed: "etcd", target: target{component: "etcd"},
		api: []string{"500", "503"}, strangers: []string{"500"},
		why: "As above.",
	},
	{
		killed: "API server and the native data plane at the same moment, the only pod", carries: true,
		target: target{namespace: "openshift-ingress", labels: maasGateway, component: "kube-apiserver"},
		calls:  []string{none, cut, "500"}, streams: []string{none, cut, "500"}, api: []string{none, cut, "500", "503"},
		why: "The container starts again with the plan and the deny-list that it kept. It has reviewed nobody yet, and knows nobody until the API server is back: 500.",
	},
}
