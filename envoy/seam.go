package envoy

// Paths in the pod. The directory is shared by both containers and by nobody
// else.
const (
	// SocketPath is where egret extproc serves ext_proc and EDS.
	SocketPath = "/run/egret/extproc.sock"
	// AdminPath is Envoy's admin interface.
	AdminPath = "/run/egret/admin.sock"
	// TokenPath is the projected ServiceAccount token of audience feed.Audience.
	TokenPath = "/var/run/secrets/egret/token"
	// CAPath is the certificate authority of the controller's xDS server.
	CAPath = "/etc/envoy/ca.crt"
)

// Keys of the gRPC metadata that an external-processing stream begins with.
// The first three are said per listener by the filter, the others per route or
// weighted cluster, by its ExtProcPerRoute.
const (
	MetaGateway  = "egret-gateway"  // namespace/name
	MetaPort     = "egret-port"     // of the listener
	MetaListener = "egret-listener" // name of the listener
	MetaEntry    = "egret-entry"    // "<listener>/<domain>/<entry id>"; absent = no route matched
	MetaDigest   = "egret-digest"   // plan.Digests of the entry
	MetaChoose   = "egret-choose"   // present where the engine chooses the cluster, by HeaderCluster
	MetaTarget   = "egret-target"   // index of the rule's target, from 0; absent = the rule forwards nothing
)

// ClusterLocal is the static cluster of the bootstrap that leads to SocketPath;
// ClusterXDS the one that leads to the controller.
const (
	ClusterLocal = "egret_local"
	ClusterXDS   = "xds_cluster"
)

// MetaTry is said by the filter of a cluster, which runs once per try, and by
// no other (docs/decisions/012-ext-proc.md).
const MetaTry = "egret-try"

// Dynamic metadata that egret extproc writes about a request. Filters and
// access loggers look at it; nothing of it is ever a header.
const (
	Namespace = "egret"
	KeyID     = "id"  // of the exchange; a string, present while its end is not known: such requests are logged to egret extproc
	KeyTry    = "try" // present when a second try would differ: the filter of the cluster runs then and only then
)

// HeaderCluster names the cluster of a request where the model in its body
// decides. Whatever a client says under an x-envoy- name is gone before a route
// is chosen, and the filter of the cluster takes it out again.
const HeaderCluster = "x-envoy-egret-cluster"

// HeaderEnds on an answer says when the certificate ends that its server showed,
// in Unix seconds: Envoy adds it for the engine, which takes it out.
const HeaderEnds = "x-egret-peer-ends"

// HeaderRetry on an answer, set by the filter of a cluster, makes Envoy try
// once more (retriable-headers). It never reaches a client.
const HeaderRetry = "x-egret-retry"
