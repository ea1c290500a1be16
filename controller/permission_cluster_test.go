//go:build cluster

package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/source"
)

// What a ClusterRole may let a controller do.
const (
	// permittedAsReference are the rules of the reference's own ClusterRole.
	permittedAsReference = `[
{apiGroups: [''], resources: [services, endpoints, namespaces, secrets], verbs: [get, list, watch]},
{apiGroups: [''], resources: [serviceaccounts, services, configmaps], verbs: [get, list, watch, create, update, patch, delete]},
{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]},
{apiGroups: [gateway.networking.k8s.io], resources: [gateways, httproutes, gatewayclasses], verbs: [get, list, watch, update, patch]},
{apiGroups: [gateway.networking.k8s.io], resources: [gateways/status, httproutes/status, gatewayclasses/status], verbs: [get, update, patch]},
{apiGroups: [ainetworking.prototype.x-k8s.io], resources: [backends, xbackenddestinations], verbs: [get, list, watch, create, update, patch, delete]},
{apiGroups: [ainetworking.prototype.x-k8s.io], resources: [backends/status, xbackenddestinations/status], verbs: [get, update, patch]},
{apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, update, patch, delete]}%s]`
	permittedPolicies = `,
{apiGroups: [kuadrant.io], resources: [authpolicies, ratelimitpolicies, tokenratelimitpolicies], verbs: [get, list, watch]},
{apiGroups: [kuadrant.io], resources: [authpolicies/status, ratelimitpolicies/status, tokenratelimitpolicies/status], verbs: [patch]}`
)

const roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

// user makes a ServiceAccount that may do what the rules permit.
func (w *world) user(name, rules string) {
	w.Helper()
	w.do("POST", roles, fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: %s}, rules: %s}`, name, rules))
	w.do("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: %s}, `+
		`roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}, subjects: [{kind: ServiceAccount, namespace: egret-system, name: %[1]s}]}`, name))
}

// permit changes what a user may do.
func (w *world) permit(name, rules string) {
	w.Helper()
	w.do("PATCH", roles+"/"+name, "{rules: "+rules+"}")
}

func as(user string) func(*Options) {
	return func(o *Options) { o.Config = server.As("system:serviceaccount:egret-system:" + user) }
}

// testUnbound: pods may not have tokens reviewed, since the controller may not
// let them.
func testUnbound(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	w.route("a", "one", "example.com")
	w.route("b", "one", "example.com")
	w.authenticate("a")
	w.user("unbound", fmt.Sprintf(permittedAsReference, permittedPolicies))
	c := w.run(as("unbound"))
	c.join(w.pod("one", source.PlaneNative))
	w.awaitProgrammed("one", "True", "Programmed")
	t.Run("a policy whose reviews RBAC does not permit says so, and what to do", func(t *testing.T) {
		w.await("refusal of the policy", func() bool { return w.enforced("a").Status == "False" })
		e := w.enforced("a")
		for _, part := range []string{w.ns + "/one", "clusterrolebindings", "system:auth-delegator", "forbidden"} {
			if !strings.Contains(e.Message, part) {
				t.Errorf("%q is not in %q", part, e.Message)
			}
		}
		if e.Reason != reasonReviewsForbidden {
			t.Errorf("reason is %s", e.Reason)
		}
	})
	t.Run("and is enforced when it does", func(*testing.T) {
		w.permit("unbound", fmt.Sprintf(permittedAsReference, permittedPolicies+`,
{apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [get, list, create, patch, delete]},
{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: ['system:auth-delegator'], verbs: [bind]}`))
		c.stop()
		c = w.run()
		c.join(w.pod("one", source.PlaneNative))
		w.await("policy that is enforced", func() bool { return w.enforced("a").Status == "True" })
	})
}

// newBlind makes a world with a Gateway whose route has a policy and one whose
// has not, and a user who may not read policies.
func newBlind(t *testing.T, controller, class, user string) *world {
	w := newWorld(t, controller)
	w.gateway("guarded", class, source.PlaneNative)
	w.gateway("open", class, source.PlaneNative)
	w.route("g", "guarded", "example.com")
	w.route("o", "open", "example.com")
	w.authenticate("g")
	w.user(user, fmt.Sprintf(permittedAsReference, ""))
	return w
}

func testUnread(t *testing.T) {
	w := newBlind(t, source.ControllerEgret, "egret", "blind")
	c := w.run(as("blind"))
	t.Run("without permission to read policies that there may be nothing of class egret is served", func(t *testing.T) {
		for _, gateway := range []string{"guarded", "open"} {
			w.awaitProgrammed(gateway, "False", reasonUnread)
			if m := w.programmed(gateway).Message; !strings.Contains(m, "AuthPolicy") || !strings.Contains(m, "Permit get, list and watch") {
				t.Errorf("message is %q", m)
			}
			if server.Has(w.deployment(gateway)) {
				t.Error("it has a fleet")
			}
		}
	})
	t.Run("with it, it is", func(*testing.T) {
		w.permit("blind", fmt.Sprintf(permittedAsReference, permittedPolicies))
		c.stop()
		c = w.run(as("blind"))
		c.join(w.pod("guarded", source.PlaneNative))
		w.awaitProgrammed("guarded", "True", "Programmed")
	})
}

func testUnreadReference(t *testing.T) {
	w := newBlind(t, source.ControllerWG, "wg", "reference")
	reader := w.run()
	pod := w.pod("guarded", source.PlaneNative)
	ended := reader.join(pod)
	reader.join(w.pod("open", source.PlaneNative))
	w.awaitProgrammed("guarded", "True", "Programmed")
	w.awaitProgrammed("open", "True", "Programmed")
	reader.stop()
	<-ended
	had := len(pod.Engine.Have(feed.TypePolicy))
	w.gateway("new", "wg", source.PlaneNative)
	w.route("fresh", "new", "example.com")
	c := w.run(as("reference"))
	t.Run("under the reference's permissions its class is served", func(*testing.T) {
		c.join(w.pod("new", source.PlaneNative))
		c.join(w.pod("open", source.PlaneNative))
		w.awaitProgrammed("new", "True", "Programmed")
		w.awaitProgrammed("open", "True", "Programmed")
	})
	t.Run("but for a Gateway that had policies, which keeps them", func(t *testing.T) {
		w.awaitProgrammed("guarded", "False", reasonUnread)
		if n := len(pod.Engine.Have(feed.TypePolicy)); had == 0 || n != had || !server.Has(w.deployment("guarded")) {
			t.Errorf("of %d policies its pod has %d; the fleet is there: %v", had, n, server.Has(w.deployment("guarded")))
		}
		if (*c.owners.Load())[w.node("guarded")] != "" {
			t.Error("its pods are fed without the policies")
		}
	})
}
