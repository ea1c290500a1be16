//go:build cluster

package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/source"
)

// in returns the object of a namespace and name, nil if there is none.
func in[P interface {
	comparable
	metav1.Object
}](list []P, ns, name string) P {
	var none P
	for _, o := range list {
		if o.GetNamespace() == ns && o.GetName() == name {
			return o
		}
	}
	return none
}

func TestSnapshot(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]")+`
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {key: one}
---
apiVersion: v1
kind: Secret
metadata: {name: release}
type: helm.sh/release.v1
stringData: {release: large}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, annotations: {kubectl.kubernetes.io/last-applied-configuration: long}}
data: {ca.crt: pem}
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: p, uid: u}}]`)
	w := start(t)
	w.sees("a Secret", func(s *source.Snapshot) bool { return in(s.Secrets, ns, "key") != nil })
	t.Run("objects are typed, sorted and trimmed", func(t *testing.T) {
		s, _ := w.last()
		m := in(s.ConfigMaps, ns, "ca")
		if m.Data["ca.crt"] != "pem" || m.ManagedFields != nil || m.Annotations != nil || m.ResourceVersion != "" {
			t.Errorf("the ConfigMap is %+v", m)
		}
		if in(s.Secrets, ns, "release") != nil {
			t.Error("a Secret that nothing can refer to is there")
		}
		if e := in(s.EndpointSlices, ns, "a-1"); *e.Endpoints[0].TargetRef != (corev1.ObjectReference{UID: "u"}) || e.Endpoints[0].Addresses[0] != "10.0.0.1" {
			t.Errorf("the EndpointSlice is %+v", e)
		}
		if !slices.IsSortedFunc(s.Namespaces, func(a, b *corev1.Namespace) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("namespaces are not sorted")
		}
	})
	t.Run("gateway-34 B-01 every change that matters makes a snapshot", func(t *testing.T) {
		f := func(kind, name, patch string, has func(*source.Snapshot) bool) {
			t.Helper()
			do(t, "PATCH", collection(kind, ns)+"/"+name, patch)
			w.sees(kind+" "+patch, has)
		}
		f("XBackendDestination", "model", `{"spec":{"destination":{"fqdn":{"hostname":"new.example.com"}}}}`, func(s *source.Snapshot) bool {
			return in(s.Backends, ns, "model").Spec.Destination.Fqdn.Hostname == "new.example.com"
		})
		f("Secret", "key", `{"stringData":{"key":"two"}}`, func(s *source.Snapshot) bool {
			return string(in(s.Secrets, ns, "key").Data["key"]) == "two"
		})
		f("EndpointSlice", "a-1", `{"endpoints":[{"addresses":["10.0.0.2"]}]}`, func(s *source.Snapshot) bool {
			return in(s.EndpointSlices, ns, "a-1").Endpoints[0].Addresses[0] == "10.0.0.2"
		})
		f("Service", "a/status", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.9"}]}}}`, func(s *source.Snapshot) bool {
			lb := in(s.Services, ns, "a").Status.LoadBalancer.Ingress
			return len(lb) == 1 && lb[0].IP == "192.0.2.9"
		})
		do(t, "PATCH", "/api/v1/namespaces/"+ns, `{"metadata":{"labels":{"team":"a"}}}`)
		w.sees("the label", func(s *source.Snapshot) bool { return in(s.Namespaces, "", ns).Labels["team"] == "a" })
	})
}

func TestFirstSnapshot(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+policy)
	held, free := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	first := sync.OnceFunc(func() { close(held) })
	w := start(t, seeing(func(r *http.Request) {
		if strings.Contains(r.URL.Path, "authpolicies") {
			first()
			<-free
		}
	}))
	t.Run("B-35 nothing is served before every kind has answered", func(t *testing.T) {
		<-held
		await(t, "answer of all other kinds", func() bool { return slices.Equal(w.unknown(), []string{"AuthPolicy"}) })
		select {
		case <-w.source.ready:
			t.Error("a snapshot is on its way without the policies")
		default:
		}
		w.mu.Lock()
		w.watch = func(s *source.Snapshot) {
			if in(s.AuthPolicies, ns, "guard") == nil || in(s.Gateways, ns, "g") == nil {
				t.Error("a snapshot lacks an object")
			}
		}
		w.mu.Unlock()
		release()
		w.round(ns)
	})
}

// reference is the RBAC that the reference's installation grants.
const reference = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %[1]s}
rules:
- {apiGroups: [""], resources: [services, endpoints, namespaces, secrets, configmaps, serviceaccounts], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways, httproutes, gatewayclasses], verbs: [get, list, watch, update, patch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways/status, httproutes/status, gatewayclasses/status], verbs: [get, update, patch]}
- {apiGroups: [ainetworking.prototype.x-k8s.io], resources: [backends, xbackenddestinations], verbs: [get, list, watch, create, update, patch, delete]}
- {apiGroups: [ainetworking.prototype.x-k8s.io], resources: [backends/status, xbackenddestinations/status], verbs: [get, update, patch]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{kind: User, name: %[1]s, apiGroup: rbac.authorization.k8s.io}]`

// rule adds a rule to the ClusterRole of a test.
func rule(t *testing.T, role, rule string) {
	t.Helper()
	raw, err := server.Do(context.Background(), "GET", paths["ClusterRole"]+"/"+role, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), `"rules":[`, `"rules":[`+rule+",", 1)
	do(t, "PUT", paths["ClusterRole"]+"/"+role, changed)
}

func (w *world) missing(kind string) *Missing {
	for _, m := range w.source.Missing() {
		if m.Kind == kind {
			return &m
		}
	}
	return nil
}

func TestPermission(t *testing.T) {
	ns := namespace(t)
	user := ns
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]")+"\n---\n"+policy)
	apply(t, "", fmt.Sprintf(reference, user))
	var body atomic.Pointer[io.ReadCloser] // of the watch of policies
	w := start(t, func(o *Options) { o.Config = server.As(user) }, keeping("authpolicies", &body))
	t.Run("what may not be read holds up nothing and is named", func(t *testing.T) {
		until(t, "HTTPRoute", ns, "chat", "accepted", func(r *gwv1.HTTPRoute) bool { return parentOf(r, source.ControllerEgret, "g") != nil })
		var names []string
		for _, m := range w.source.Missing() {
			if m.Why != Forbidden || m.Kept != 0 {
				t.Errorf("missing: %+v", m)
			}
			names = append(names, m.Kind)
		}
		want := []string{"AuthPolicy", "BackendTLSPolicy", "GRPCRoute", "ListenerSet", "RateLimitPolicy", "ReferenceGrant", "TokenRateLimitPolicy", "XBackend"}
		if !slices.Equal(names, want) {
			t.Errorf("missing are %v", names)
		}
		w.round(ns)
		if got := w.lastUnread(); !slices.Equal(got, []string{"AuthPolicy", "RateLimitPolicy", "TokenRateLimitPolicy"}) {
			t.Errorf("policies that are not in the snapshot: %v", got)
		}
	})
	t.Run("a kind is read as soon as it may be", func(t *testing.T) {
		rule(t, user, `{"apiGroups":["kuadrant.io"],"resources":["authpolicies"],"verbs":["get","list","watch"]}`)
		w.sees("the policy", func(s *source.Snapshot) bool { return in(s.AuthPolicies, ns, "guard") != nil })
		await(t, "reading", func() bool { return w.missing("AuthPolicy") == nil })
		w.round(ns)
		if got := w.lastUnread(); !slices.Equal(got, []string{"RateLimitPolicy", "TokenRateLimitPolicy"}) {
			t.Errorf("policies that are not in the snapshot: %v", got)
		}
	})
	t.Run("a status that may not be written keeps no other from being written, and is tried again", func(t *testing.T) {
		do(t, "PATCH", collection("HTTPRoute", ns)+"/chat", `{"spec":{"hostnames":["a.example.com"]}}`)
		until(t, "HTTPRoute", ns, "chat", "observed", func(r *gwv1.HTTPRoute) bool {
			p := parentOf(r, source.ControllerEgret, "g")
			return p != nil && find(p.Conditions, "Accepted").ObservedGeneration == r.Generation
		})
		rule(t, user, `{"apiGroups":["kuadrant.io"],"resources":["authpolicies/status"],"verbs":["patch"]}`)
		until(t, "AuthPolicy", ns, "guard", "accepted", func(p *kuadrantv1.AuthPolicy) bool { return is(p.Status.Conditions, "Accepted", "True", "Accepted") })
	})
	t.Run("what may not be read any more stays in force", func(t *testing.T) {
		w.mu.Lock()
		w.watch = func(s *source.Snapshot) {
			if in(s.AuthPolicies, ns, "guard") == nil {
				t.Error("a snapshot lacks the policy")
			}
		}
		w.mu.Unlock()
		do(t, "DELETE", paths["ClusterRole"]+"/"+user, "")
		do(t, "POST", paths["ClusterRole"], strings.Split(fmt.Sprintf(reference, user), "\n---\n")[0])
		(*body.Load()).Close() // as a server does after some minutes
		await(t, "complaint", func() bool { m := w.missing("AuthPolicy"); return m != nil && m.Why == Forbidden && m.Kept > 0 })
		w.round(ns)
		if slices.Contains(w.lastUnread(), "AuthPolicy") {
			t.Error("what was read counts as never read")
		}
	})
	t.Run("and a route that is new waits until it may, while nothing else does", func(t *testing.T) {
		w.mu.Lock()
		w.watch = func(s *source.Snapshot) {
			if in(s.HTTPRoutes, ns, "late") != nil && in(s.AuthPolicies, ns, "late") == nil {
				t.Error("a snapshot has the route and not its policy")
			}
		}
		w.mu.Unlock()
		late := strings.NewReplacer("name: guard", "name: late", "name: chat", "name: late")
		apply(t, ns, late.Replace(policy+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]")))
		await(t, "route that waits", func() bool { return w.store("HTTPRoute").len() == 2 })
		w.round(ns)
		w.round(ns)
		if s, _ := w.last(); in(s.HTTPRoutes, ns, "late") != nil || in(s.AuthPolicies, ns, "guard") == nil {
			t.Error("the route does not wait, or the policy that was there is gone")
		}
		rule(t, user, `{"apiGroups":["kuadrant.io"],"resources":["authpolicies"],"verbs":["get","list","watch"]}`)
		w.sees("the route", func(s *source.Snapshot) bool { return in(s.HTTPRoutes, ns, "late") != nil })
	})
}

// store returns the store of a kind.
func (w *world) store(kind string) *store {
	i := slices.IndexFunc(w.source.watched, func(k *watched) bool { return k.kind.name == kind })
	return w.source.watched[i].store
}

// Without this, a controller that is started before its role is there would
// take the cluster for an empty one and remove all that runs.
func TestForbiddenAtStart(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	apply(t, "", strings.Replace(fmt.Sprintf(reference, ns), "gateways, httproutes, gatewayclasses]", "gatewayclasses]", 1))
	w := start(t, func(o *Options) { o.Config = server.As(ns) })
	f := func(want ...string) {
		t.Helper()
		await(t, strings.Join(want, ", ")+" that may not be read", func() bool {
			return slices.Equal(w.unknown(), want) && !slices.ContainsFunc(want, func(k string) bool {
				m := w.missing(k)
				return m == nil || m.Why != Forbidden
			})
		})
	}
	w.mu.Lock()
	w.watch = func(s *source.Snapshot) {
		if in(s.Gateways, ns, "g") == nil || in(s.HTTPRoutes, ns, "chat") == nil {
			t.Error("a snapshot lacks an object")
		}
	}
	w.mu.Unlock()
	f("Gateway", "HTTPRoute")
	rule(t, ns, `{"apiGroups":["gateway.networking.k8s.io"],"resources":["gateways"],"verbs":["get","list","watch"]}`)
	f("HTTPRoute")
	rule(t, ns, `{"apiGroups":["gateway.networking.k8s.io"],"resources":["httproutes"],"verbs":["get","list","watch"]}`)
	w.round(ns)
}

// The server tells who may not read a kind nothing else, whether it has the
// kind or not; its discovery tells everybody.
func TestForbiddenAndNotInstalled(t *testing.T) {
	ns := namespace(t)
	const resource = "kuadrant.io/ratelimitpolicies"
	if err := server.Uninstall(t.Context(), resource); err != nil {
		t.Fatal(err)
	}
	apply(t, "", fmt.Sprintf(reference, ns))
	w := start(t, func(o *Options) { o.Config = server.As(ns) })
	w.sees("anything", func(*source.Snapshot) bool { return true })
	if m := w.missing("RateLimitPolicy"); m == nil || m.Why != NotInstalled {
		t.Errorf("missing is %+v", m)
	}
	if got := w.lastUnread(); !slices.Equal(got, []string{"AuthPolicy", "TokenRateLimitPolicy"}) {
		t.Errorf("policies that are not in the snapshot: %v", got)
	}
	if err := server.Install(t.Context(), resource); err != nil {
		t.Fatal(err)
	}
	await(t, "policies that may not be read", func() bool { m := w.missing("RateLimitPolicy"); return m != nil && m.Why == Forbidden })
	w.round(ns)
	if got := w.lastUnread(); len(got) != 3 {
		t.Errorf("policies that are not in the snapshot: %v", got)
	}
}

func TestKindsComeAndGo(t *testing.T) {
	ns := namespace(t)
	const resource = "kuadrant.io/tokenratelimitpolicies"
	ctx := context.Background()
	if err := server.Uninstall(ctx, resource); err != nil {
		t.Fatal(err)
	}
	w := start(t)
	w.round(ns)
	if m := w.missing("TokenRateLimitPolicy"); m == nil || m.Why != NotInstalled {
		t.Errorf("missing is %+v", m)
	}
	if err := server.Install(ctx, resource); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, `
apiVersion: kuadrant.io/v1alpha1
kind: TokenRateLimitPolicy
metadata: {name: limit}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}
  limits: {free: {rates: [{limit: 1, window: 1m}], counters: [{expression: auth.identity.userid}]}}`)
	has := func(s *source.Snapshot) bool { return in(s.TokenRateLimitPolicies, ns, "limit") != nil }
	w.sees("the limit", has)
	if err := server.Uninstall(ctx, resource); err != nil {
		t.Fatal(err)
	}
	w.sees("no limit", func(s *source.Snapshot) bool { return !has(s) })
	if err := server.Install(ctx, resource); err != nil {
		t.Fatal(err)
	}
}

const ownRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: own}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: own}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: own}
subjects: [{kind: User, name: api, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tiers}
data: {tiers: many}
binaryData: {b: eA==}`

// One who may read the ConfigMaps of one namespace asks for these.
func TestSubset(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, ownRole)
	w := start(t, func(o *Options) {
		o.Config = server.As("api")
		o.Kinds = []Kind{{Name: "ConfigMap", Namespace: ns}, {Name: "LLMInferenceService"}}
	})
	w.sees("the tiers", func(s *source.Snapshot) bool { return in(s.ConfigMaps, ns, "tiers") != nil })
	if s, _ := w.last(); len(s.ConfigMaps) != 1 || s.ConfigMaps[0].BinaryData == nil || s.Namespaces != nil {
		t.Errorf("the snapshot is %+v", s)
	}
	if m := w.source.Missing(); len(m) != 1 || m[0].Kind != "LLMInferenceService" || m[0].Why != Forbidden {
		t.Errorf("missing are %+v", m)
	}
}

// gated holds back the watch of a resource, once it is shut, until it is open,
// and tells when somebody asks which objects there are.
type gated struct {
	next     http.RoundTripper
	resource string
	shut     *atomic.Bool
	open     chan struct{}
	asked    func()
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if err != nil || !strings.Contains(r.URL.Path, g.resource) {
		return resp, err
	}
	if r.URL.Query().Get("watch") != "" {
		resp.Body = late{resp.Body, g.shut, g.open}
	} else if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") && g.shut.Load() {
		g.asked()
	}
	return resp, err
}

// late is a body whose bytes are held back from when it is shut until it is open.
type late struct {
	io.ReadCloser
	shut *atomic.Bool
	open <-chan struct{}
}

func (l late) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.shut.Load() {
		<-l.open
	}
	return n, err
}

// The watch of policies is the slowest of all here, and yet no route is seen
// without the policy that was there before it.
func TestGuard(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret"))
	var shut atomic.Bool
	open := make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	w := start(t, func(o *Options) {
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return gated{next, "authpolicies", &shut, open, release}
		})
	})
	w.round(ns)
	shut.Store(true)
	w.mu.Lock()
	w.watch = func(s *source.Snapshot) {
		if in(s.HTTPRoutes, ns, "chat") != nil && in(s.AuthPolicies, ns, "guard") == nil {
			t.Error("the route is there and its policy is not")
		}
	}
	w.mu.Unlock()
	apply(t, ns, policy+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	w.sees("the route", func(s *source.Snapshot) bool { return in(s.HTTPRoutes, ns, "chat") != nil })
}

func TestConflict(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	var shut atomic.Bool
	open := make(chan struct{})
	t.Cleanup(func() { close(open) })
	w := start(t, func(o *Options) {
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return gated{next, "httproutes", &shut, open, func() {}}
		})
	})
	w.round(ns)
	route := until(t, "HTTPRoute", ns, "chat", "accepted", func(r *gwv1.HTTPRoute) bool { return len(r.Status.Parents) == 1 })
	w.round(ns) // now the store knows its status
	shut.Store(true)
	t.Run("gateway-32 B-24 what another controller wrote that we have not seen yet stays", func(t *testing.T) {
		entry := `{"parentRef":{"name":"theirs"},"controllerName":"` + foreign + `","conditions":[{"type":"Accepted","status":"True","reason":"Mine","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}]}`
		do(t, "PATCH", collection("HTTPRoute", ns)+"/chat/status", `{"status":{"parents":[`+entry+`]}}`)
		err := w.source.Report(t.Context(), []source.Condition{{Kind: "HTTPRoute", Namespace: ns, Name: "chat",
			Parent: resolve(route.Spec.ParentRefs[0], ns), Type: "Accepted", Status: "False", Reason: "Pending", Generation: route.Generation}})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "HTTPRoute", ns, "chat", "of two entries", func(r *gwv1.HTTPRoute) bool {
			p := parentOf(r, source.ControllerEgret, "g")
			return parentOf(r, foreign, "theirs") != nil && p != nil && is(p.Conditions, "Accepted", "False", "Pending")
		})
	})
}

func TestOutage(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+policy)
	w := start(t)
	w.round(ns)
	w.mu.Lock()
	w.watch = func(s *source.Snapshot) {
		if in(s.AuthPolicies, ns, "guard") == nil || in(s.Gateways, ns, "g") == nil {
			t.Error("a snapshot lacks an object")
		}
	}
	w.mu.Unlock()
	server.Halt()
	if err := server.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.round(ns)
}

func TestUndecodable(t *testing.T) {
	ns := namespace(t)
	ctx := context.Background()
	const resource, crd = "kuadrant.io/ratelimitpolicies", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ratelimitpolicies.kuadrant.io"
	do(t, "PATCH", crd, `{"spec":{"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
		"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`)
	t.Cleanup(func() {
		if err := server.Uninstall(ctx, resource); err != nil {
			t.Fatal(err)
		}
		if err := server.Install(ctx, resource); err != nil {
			t.Fatal(err)
		}
	})
	const limit = `
apiVersion: kuadrant.io/v1
kind: RateLimitPolicy
metadata: {name: %s}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}
  limits: %s`
	apply(t, ns, fmt.Sprintf(webGateway, "g", "egret")+"\n---\n"+model+"\n---\n"+fmt.Sprintf(chatRoute, "[{name: g}]"))
	await(t, "schema without rules", func() bool {
		_, err := server.Do(ctx, "POST", collection("RateLimitPolicy", ns), []byte(fmt.Sprintf(limit, "broken", `{a: {rates: many}}`)))
		return err == nil
	})
	w := start(t)
	w.round(ns)
	t.Run("B-02 an object that cannot be decoded is a problem of its own", func(t *testing.T) {
		if _, ps := w.last(); len(ps) != 1 || !strings.Contains(ps.String(), "RateLimitPolicy "+ns+"/broken: cannot be read") {
			t.Errorf("problems are %v", ps)
		}
		p := until(t, "RateLimitPolicy", ns, "broken", "refused", func(p *struct{ Status kuadrantv1.PolicyStatus }) bool {
			return is(p.Status.Conditions, "Enforced", "False", "Invalid") || is(p.Status.Conditions, "Accepted", "False", "Invalid")
		})
		if c := p.Status.Conditions[0]; !strings.Contains(c.Message, "cannot be read") {
			t.Errorf("the condition is %+v", c)
		}
		until(t, "XBackendDestination", ns, "model", "available", func(d *v0alpha0.XBackendDestination) bool { return len(d.Status.Controllers) == 1 })
	})
}
