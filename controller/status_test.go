package controller

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
)

func TestUnprogrammed(t *testing.T) {
	f := func(name, reason, message string, pending bool, g *gateway) {
		t.Run(name, func(t *testing.T) {
			g.fleet = fleetCalled("gw", "1")
			c := &Controller{xds: xds.NewServer(xds.Options{})}
			p, waits := c.unprogrammed(g)
			if p == nil || p.reason != reason || !strings.Contains(p.message, message) || waits != pending {
				t.Errorf("%+v, pending %v", p, waits)
			}
		})
	}
	f("gateway-44 an object is somebody else's", "Invalid", "Service svc", false, &gateway{state: fleet.State{Conflicts: []string{"Service svc exists"}}})
	f("the fleet cannot be made", "NoResources", "quota", false, &gateway{failed: errors.New("exceeded quota")})
	f("gateway-51 no pod has the configuration", "Pending", "Waiting", true, &gateway{})
}

func TestRetract(t *testing.T) {
	t.Run("gateway-51 only what was promised of this Gateway and its listeners is taken back", func(t *testing.T) {
		at := func(name, section, typ string, status metav1.ConditionStatus) source.Condition {
			c := source.Condition{Kind: "Gateway", Namespace: "ns", Name: name, Type: typ, Status: status, Reason: "Before"}
			if section != "" {
				c.Parent.SectionName = section
			}
			return c
		}
		cs := []source.Condition{
			at("another", "", "Programmed", metav1.ConditionTrue),
			at("gw", "", "Accepted", metav1.ConditionTrue), at("gw", "", "Programmed", metav1.ConditionTrue),
			at("gw", "bad", "Programmed", metav1.ConditionFalse), at("gw", "web", "Programmed", metav1.ConditionTrue),
			at("other", "", "Programmed", metav1.ConditionTrue),
		}
		retract(about(cs, source.Key{Kind: "Gateway", Namespace: "ns", Name: "gw"}), "Programmed", &problem{"AddressNotAssigned", "no address"})
		var got []string
		for _, c := range cs {
			got = append(got, string(c.Status)+" "+c.Reason)
		}
		want := []string{"True Before", "True Before", "False AddressNotAssigned", "False Before", "False Invalid", "True Before"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPublish(t *testing.T) {
	t.Run("gateway-33 B-29 a Set is made, and has another name, when something in it is another and only then", func(t *testing.T) {
		g := &gateway{fleet: fleetCalled("gw", "1"), plan: &plan.Plan{}, hash: "h"}
		names := map[string]bool{}
		f := func(want bool, s feed.Settings, denied ...feed.Denial) {
			t.Helper()
			set := g.publish(s, denied)
			if got := set != nil; got != want {
				t.Errorf("published: %v", got)
			}
			if set != nil && names[set.ID] {
				t.Errorf("%s was the name of another Set", set.ID)
			}
			names[g.set.ID] = true
			if v := versionOf(g.set.ID); v.plan != "h" || v.epoch != (&feed.Feed{Denied: denied}).Epoch() || v.String() != g.set.ID {
				t.Errorf("%s is read as %+v", g.set.ID, v)
			}
		}
		f(true, feed.Settings{})
		f(false, feed.Settings{})
		f(true, feed.Settings{Counters: "redis://c"})
		f(true, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
		f(false, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
		g.keep = []string{"earlier"}
		f(true, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
		g.fleet.Parameters.AccessLog = new(bool)
		*g.fleet.Parameters.AccessLog = true
		f(true, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
		g.envoys, g.transport = true, []xds.Resource{xds.NewResource(xds.TypeCluster, "c", []byte("1"))}
		f(true, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
		g.transport = []xds.Resource{xds.NewResource(xds.TypeCluster, "c", []byte("2"))}
		f(true, feed.Settings{Counters: "redis://c"}, feed.Denial{Subject: "jti:a"})
	})
}

func TestParameters(t *testing.T) {
	t.Run("a Gateway's parameters are over those of its class", func(t *testing.T) {
		ns := gwv1.Namespace("infra")
		s := &source.Snapshot{
			GatewayClasses: []*gwv1.GatewayClass{{ObjectMeta: metav1.ObjectMeta{Name: "egret"}, Spec: gwv1.GatewayClassSpec{
				ParametersRef: &gwv1.ParametersReference{Kind: "ConfigMap", Name: "class", Namespace: &ns}}}},
			ConfigMaps: []*corev1.ConfigMap{
				{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "class"}, Data: map[string]string{"fleet.yaml": "{plane: native, replicas: 2}"}},
				{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "own"}, Data: map[string]string{"fleet.yaml": "replicas: 5"}},
			},
		}
		o := &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "gw"}, Spec: gwv1.GatewaySpec{GatewayClassName: "egret",
			Infrastructure: &gwv1.GatewayInfrastructure{ParametersRef: &gwv1.LocalParametersReference{Kind: "ConfigMap", Name: "own"}}}}
		if p := parameters(s, o); p.Plane != source.PlaneNative || p.Replicas == nil || *p.Replicas != 5 {
			t.Errorf("parameters are %+v", p)
		}
	})
}

func TestDeniers(t *testing.T) {
	t.Run("a deny-list of another namespace, or without the label, is nobody's", func(t *testing.T) {
		of := func(ns, label string) *corev1.ConfigMap {
			return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: ns, Labels: map[string]string{source.LabelDenials: label}},
				Data: map[string]string{"denials": "jti:" + ns + " 2030-01-01T00:00:00Z\n"}}
		}
		c := &Controller{o: Options{MaaSNamespace: "maas-api"}}
		got := c.denials(&source.Snapshot{ConfigMaps: []*corev1.ConfigMap{of("evil", "true"), of("maas-api", "true"), of("maas-api", "false")}})
		if len(got) != 1 || got[0].Subject != "jti:maas-api" {
			t.Errorf("denials are %v", got)
		}
	})
}

// TestOldest: whoever finds a name with another's digest gets none of its feed.
func TestOldest(t *testing.T) {
	at := func(class string, second int64) *gwv1.Gateway {
		return &gwv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "same digest", CreationTimestamp: metav1.Unix(second, 0)},
			Spec:       gwv1.GatewaySpec{GatewayClassName: gwv1.ObjectName(class)},
		}
	}
	first, later, foreign := at("egret", 2), at("egret", 3), at("wg-ai-gateway", 1)
	got := oldest(&source.Snapshot{Gateways: []*gwv1.Gateway{later, foreign, first}}, source.ControllerEgret)
	c, _ := (&source.Snapshot{}).Class("egret")
	if len(got) != 1 || got[source.NodeID(c, "ns", "same digest")] != first {
		t.Errorf("%v", got)
	}
}

// TestServe: a revocation has arrived when all pods know it that take calls.
func TestServe(t *testing.T) {
	yes, no := true, false
	pod := func(uid string, ready, serving *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving}, TargetRef: &corev1.ObjectReference{UID: types.UID(uid)}}
	}
	slice := func(namespace, service string, pods ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: map[string]string{discoveryv1.LabelServiceName: service}}, Endpoints: pods}
	}
	c := &Controller{snapshot: source.Snapshot{EndpointSlices: []*discoveryv1.EndpointSlice{
		slice("ns", "fleet", pod("ready", &yes, &yes), pod("begins", &no, &no), pod("ends", &no, &yes), pod("old server", &yes, nil)),
		slice("ns", "other", pod("of another", &yes, &yes)), slice("elsewhere", "fleet", pod("of another", &yes, &yes)),
	}}}
	if diff := cmp.Diff([]string{"ready", "ends", "old server"}, c.serve("ns", "fleet")); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}

func TestOwnContainer(t *testing.T) {
	f := func(want string, cs ...corev1.Container) {
		d := &appsv1.Deployment{}
		d.Spec.Template.Spec.Containers = cs
		if got := ownContainer(d).Image; got != want {
			t.Errorf("image %s, want %s", got, want)
		}
	}
	f("b", corev1.Container{Name: "x", Image: "a"}, corev1.Container{Name: "manager", Image: "b"})
	f("a", corev1.Container{Name: "x", Image: "a"}, corev1.Container{Name: "y", Image: "b"})
}
