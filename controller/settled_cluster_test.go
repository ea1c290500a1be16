//go:build cluster

package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// manyRoutes and manyBackends are those of acceptance gateway 102, half of
// them on either plane.
const manyRoutes, manyBackends = 500, 200

const backendOf = `{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: XBackendDestination, metadata: {name: %s}, ` +
	`spec: {destination: {type: Fqdn, fqdn: {hostname: %s}, ports: [{number: 443, protocol: HTTP}]}}}`

const routeTo = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s}, spec: {parentRefs: [{name: %s}], rules: [{matches: [{path: {value: /%[1]s}}], ` +
	`backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: %[3]s, port: 443}]}]}}`

// TestReference runs the tests of the controller of the reference's name, by
// themselves: one of them is a minute in which nothing may happen.
func TestReference(t *testing.T) {
	t.Run("settled", testSettled)
	t.Run("unread", testUnreadReference)
}

// testSettled watches a cluster of a size in which nothing is left to do.
func testSettled(t *testing.T) {
	w := newWorld(t, source.ControllerWG)
	planes := []string{source.PlaneEnvoy, source.PlaneNative}
	backends := "/apis/ainetworking.prototype.x-k8s.io/v0alpha0/namespaces/" + w.ns + "/xbackenddestinations"
	for _, plane := range planes {
		w.gateway(plane, "wg", plane)
	}
	for i := range manyBackends {
		w.do("POST", backends, fmt.Sprintf(backendOf, fmt.Sprintf("m%03d", i), fmt.Sprintf("m%03d.example.com", i)))
	}
	for i := range manyRoutes {
		w.do("POST", w.api("httproutes"), fmt.Sprintf(routeTo, fmt.Sprintf("r%03d", i), planes[i%2], fmt.Sprintf("m%03d", i%manyBackends)))
		if i%50 == 0 {
			w.authenticate(fmt.Sprintf("r%03d", i))
		}
	}
	c := w.run()
	came := make(chan xdstest.Response, 1<<12)
	played := map[string]*pods.Pod{}
	for _, plane := range planes {
		p := w.pod(plane, plane)
		p.Engine.Heard = func(r xdstest.Response) { came <- r }
		if p.Envoy != nil {
			p.Envoy.Heard = p.Engine.Heard
		}
		c.join(p)
		if err := p.Ready(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		played[plane] = p
	}
	last := fmt.Sprintf("r%03d", manyRoutes-1)
	apiserver.Await(t, 2*time.Minute, "status of everything", func() bool {
		return w.programmed(source.PlaneEnvoy).Status == "True" && w.programmed(source.PlaneNative).Status == "True" &&
			w.accepted(last, planes[(manyRoutes-1)%2]).Status == "True" && w.enforced("r000").Status == "True"
	})

	change := func(t *testing.T, backend int, host string) (took time.Duration, names []string) {
		t.Helper()
		for len(came) > 0 {
			<-came
		}
		began, here := time.Now(), false
		w.do("PATCH", backends+fmt.Sprintf("/m%03d", backend), `{"spec":{"destination":{"fqdn":{"hostname":"`+host+`"}}}}`)
		plane, missing := planes[backend%2], 1 // both planes' routes take turns, and so do backends
		if plane == source.PlaneEnvoy {
			missing = 2 // Envoy's own and its engine's
		}
		for missing > 0 {
			select {
			case r := <-came:
				for _, res := range r.Changed {
					names = append(names, r.Type[strings.LastIndexAny(r.Type, "./")+1:])
					here = here || r.Type == feed.TypeBackend && strings.Contains(string(res.Value), host)
				}
				if here && (r.Type == feed.TypeHead || r.Type == xds.TypeRoute) {
					missing--
				}
			case <-time.After(limit):
				t.Fatalf("the change did not arrive; %v did", names)
			}
		}
		return time.Since(began), names
	}
	t.Run("gateway-102 gateway-34 of 500 routes and 200 backends one change reaches the plane in two seconds, alone", func(t *testing.T) {
		var times []time.Duration
		for i := range 6 {
			took, names := change(t, 10+i, fmt.Sprintf("other%d.example.com", i))
			times = append(times, took)
			if len(names) > 6 {
				t.Errorf("%d resources were sent: %v", len(names), names)
			}
		}
		slices.Sort(times)
		t.Logf("took %v", times)
		if median := times[len(times)/2]; median > 2*time.Second {
			t.Errorf("took %v", times)
		}
	})

	versions := func() map[string]string {
		out := map[string]string{}
		for _, path := range []string{
			w.api("gateways"), w.api("httproutes"), backends, w.policies("authpolicies"), classes, "/apis/apps/v1/namespaces/" + w.ns + "/deployments",
			w.core("services"), w.core("serviceaccounts"), w.core("configmaps"), w.core("events"), "/apis/policy/v1/namespaces/" + w.ns + "/poddisruptionbudgets",
		} {
			for _, o := range apiserver.Read[metav1.PartialObjectMetadataList](t, server, path).Items {
				out[path+"/"+o.Name] = o.ResourceVersion
			}
		}
		return out
	}
	// calm waits until a while has passed in which the controller wrote nothing.
	calm := func() {
		before := int64(-1)
		apiserver.Await(t, 2*time.Minute, "calm", func() bool {
			if n := c.writes.Load(); n == before {
				return true
			} else {
				before = n
			}
			<-time.After(3 * time.Second)
			return false
		})
	}
	t.Run("gateway-33 B-15 in sixty seconds a settled cluster sees no write, no patch and no push", func(t *testing.T) {
		calm()
		was, writes, pushes := versions(), c.writes.Load(), c.pushes()
		rounds := time.NewTicker(10 * time.Second)
		defer rounds.Stop()
		minute := time.After(time.Minute)
		for n := 0; ; n++ {
			select {
			case <-rounds.C: // rounds that change nothing, such as others cause
				w.do("PATCH", "/api/v1/namespaces/"+w.ns, fmt.Sprintf(`{"metadata":{"labels":{"round":"%d"}}}`, n))
				continue
			case <-minute:
			}
			break
		}
		if n := c.writes.Load() - writes; n != 0 {
			t.Errorf("%d writes", n)
		}
		if n := c.pushes() - pushes; n != 0 {
			t.Errorf("%d pushes", n)
		}
		now := versions()
		for path, version := range now {
			if was[path] != version {
				t.Errorf("%s was written", path)
			}
		}
		if len(now) != len(was) || len(now) < manyRoutes+manyBackends {
			t.Errorf("there are %d objects, before there were %d", len(now), len(was))
		}
	})
}

// pushes is how many responses planes were sent.
func (r *replica) pushes() (n uint64) {
	for _, count := range r.xds.Counts() {
		n += count.Pushes
	}
	return n
}
