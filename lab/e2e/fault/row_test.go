package fault

import (
	"slices"
	"strconv"
	"time"
)

// Outcomes of a call that are no status.
const (
	none = "no answer" // refused, or closed before the header of an answer
	cut  = "cut"       // broken off after the header
)

// target is what is killed: a container, or a component of the cluster.
type target struct {
	namespace string // by default the one of Redis and PostgreSQL
	lease     string // its holder's pod
	labels    string // else the pod that has been restarted least
	container string // by default the first
	component string // of the cluster, in place of all this
}

// row says what clients may see from the moment something is killed until it
// has recovered. What worked before always may be seen.
type row struct {
	killed string
	target target
	// pods is how many pods the gateway in front has.
	pods int
	// calls, streams and api are what else may come of calls, streams and
	// calls of the MaaS API (minting, keys, models).
	calls, streams, api []string
	// recovery is until everything is as before.
	recovery time.Duration
	// then tells what is not to be seen from the columns.
	then string
}

const (
	// longest bounds any one call, and any one stream until its header.
	longest = 5 * time.Second
	// recover bounds how long anything but what worked before may be seen.
	recovery = 30 * time.Second
)

var rows = []row{
	{
		killed: "controller of class `egret` (the leader of two)",
		target: target{namespace: "egret-system", lease: "egret-egret-dev-gateway-controller"},
	},
	{
		killed: "controller of class `wg-ai-gateway`",
		target: target{namespace: "ai-gateway-system", labels: "app.kubernetes.io/name=ai-gateway-controller"},
	},
	{
		killed: "native pod, the only one",
		target: target{namespace: "openshift-ingress", labels: "gateway.networking.k8s.io/gateway-name=maas-default-gateway"},
	},
	{
		killed: "Envoy", target: target{namespace: "default", labels: "gateway.networking.k8s.io/gateway-name=poc-gateway", container: "envoy"},
	},
	{
		killed: "`extproc`", target: target{namespace: "default", labels: "gateway.networking.k8s.io/gateway-name=poc-gateway", container: "extproc"},
	},
	{
		killed: "MaaS API", target: target{namespace: "opendatahub", labels: "app.kubernetes.io/name=maas-api"},
	},
	{killed: "Redis", target: target{labels: "app=redis"}},
	{killed: "PostgreSQL", target: target{labels: "app=postgres"}},
	{killed: "API server", target: target{component: "kube-apiserver"}},
	{killed: "etcd", target: target{component: "etcd"}},
	{
		killed: "native pod, one of two", pods: 2,
		target: target{namespace: "openshift-ingress", labels: "gateway.networking.k8s.io/gateway-name=maas-default-gateway"},
	},
}

// outcome names what came of a call.
func outcome(status int, err error) string {
	switch {
	case status == 0:
		return none
	case err != nil:
		return cut
	}
	return strconv.Itoa(status)
}

// allows reports whether a row's list has an outcome.
func allows(list []string, outcome string) bool { return slices.Contains(list, outcome) }
