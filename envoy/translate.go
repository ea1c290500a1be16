package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// Types of resources that Translate returns.
const (
	TypeSecret   = xds.TypeSecret
	TypeCluster  = xds.TypeCluster
	TypeEndpoint = xds.TypeEndpoints
	TypeListener = xds.TypeListener
	TypeRoute    = xds.TypeRoute
)

// Types lists the types in the order in which an Envoy must hear of them, so
// that nothing is named before it is there. Read only.
var Types = []string{TypeSecret, TypeCluster, TypeEndpoint, TypeListener, TypeRoute}

// Gate is the first of Types that must wait until egret extproc, in every pod,
// has the plan: listeners and routes name entries of it.
const Gate = 3

// Options of a translation. The zero value is good for any pod.
type Options struct {
	// AccessLog writes a line per request to Envoy's standard output, in JSON
	// and without queries, which may hold credentials.
	AccessLog bool
	// IPv6 binds "::", IPv4 included, instead of 0.0.0.0. In a pod without IPv6
	// an Envoy so configured would not listen at all (defect B-40).
	IPv6 bool
	// SystemCAs are, in PEM, what backends are verified by that name no CA of
	// their own. Empty means Envoy's own file, SystemCAFile, which then must
	// exist in Envoy's image.
	SystemCAs []byte
	// BodyLimit is the engine's, in bytes; 0 means 16 MiB, as there.
	BodyLimit int64
}

const defaultBodyLimit = 16 << 20 // engine.DefaultBodyLimit

// Translate says a plan in Envoy's words: the part of one Gateway
// (plan.Plan.For) becomes the resources of its Envoys. Equal plans and options
// give equal bytes (defects B-15, B-29). Private keys are in resources of
// TypeSecret and in no others (acceptance gateway 92).
func Translate(p *plan.Plan, gateway string, o Options) []xds.Resource {
	if o.BodyLimit <= 0 {
		o.BodyLimit = defaultBodyLimit
	}
	_, name, _ := strings.Cut(gateway, "/")
	t := &translation{
		plan: p, gateway: gateway, name: name, opts: o,
		rules: make(map[string]*plan.Rule, len(p.Rules)), backends: make(map[string]*plan.Backend, len(p.Backends)),
		secrets: make(map[string]*plan.Secret, len(p.Secrets)), told: map[string]bool{},
	}
	for i := range p.Rules {
		t.rules[p.Rules[i].Name] = &p.Rules[i]
	}
	for i := range p.Backends {
		t.backends[p.Backends[i].Name] = &p.Backends[i]
	}
	for i := range p.Secrets {
		t.secrets[p.Secrets[i].Name] = &p.Secrets[i]
	}
	for i := range p.Backends {
		t.cluster(&p.Backends[i])
	}
	for i := range p.Ports {
		if p.Ports[i].Gateway == gateway {
			t.listener(&p.Ports[i])
		}
	}
	return t.out
}

// translation is one Translate on its way.
type translation struct {
	plan     *plan.Plan
	gateway  string // namespace/name
	name     string
	opts     Options
	rules    map[string]*plan.Rule
	backends map[string]*plan.Backend
	secrets  map[string]*plan.Secret
	told     map[string]bool // type and name of what is in out
	out      []xds.Resource
}

// tell adds a resource, and says whether it is new.
func (t *translation) tell(typeURL, name string, m proto.Message) bool {
	key := typeURL + " " + name
	if t.told[key] {
		return false
	}
	t.told[key] = true
	t.out = append(t.out, xds.NewResource(typeURL, name, pack(m).GetValue()))
	return true
}

// ads points to the stream on which everything from the controller comes.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}
