package controller

import (
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/feed/authority"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
)

// leading is a controller that leads and has read nothing yet. What it wants
// of fleets stays a wish.
func leading(t *testing.T) *Controller {
	t.Helper()
	ca, err := authority.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	c := &Controller{
		o:   Options{Name: source.ControllerEgret, Self: Self{Namespace: "egret-system"}, XDSAddress: "egret:15001"},
		log: quiet, metrics: newMetrics(), gateways: map[string]*gateway{}, delivered: map[string]string{}, ca: ca,
		lead: newLead("egret-system", "l", "pod", quiet), fleets: newFleets(&ground{}, quiet), xds: xds.NewServer(xds.Options{}),
	}
	c.lead.leading.Store(true)
	return c
}

func served(class string, names ...string) source.Snapshot {
	s := source.Snapshot{GatewayClasses: []*gwv1.GatewayClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "egret"}, Spec: gwv1.GatewayClassSpec{ControllerName: source.ControllerEgret}},
		{ObjectMeta: metav1.ObjectMeta{Name: "openshift-default"}, Spec: gwv1.GatewayClassSpec{ControllerName: "openshift.io/gateway-controller/v1"}},
	}}
	for _, name := range names {
		g := &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		g.Spec.GatewayClassName = gwv1.ObjectName(class)
		g.Spec.Listeners = []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}}
		s.Gateways = append(s.Gateways, g)
	}
	return s
}

// wishes are the fleets that are wanted, and the node ids that pods may ask for.
func wishes(c *Controller) (fleets []string, nodes int) {
	return slices.Sorted(maps.Keys(c.fleets.wanted)), len(*c.owners.Load())
}

func TestTake(t *testing.T) {
	f := func(name string, want []string, nodes int, snapshots ...source.Snapshot) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			c := leading(t)
			for _, s := range snapshots {
				c.take(s)
			}
			got, served := wishes(c)
			if diff := cmp.Diff(want, got); diff != "" || served != nodes || len(c.gateways) != nodes {
				t.Errorf("%d nodes and %d Gateways, want %d; fleets (-want +got)\n%s", served, len(c.gateways), nodes, diff)
			}
		})
	}
	f("B-25 a Gateway of ours has a fleet", []string{"shop/a"}, 1, served("egret", "a"))
	f("B-23 nothing runs for a Gateway of somebody else's class", nil, 0, served("openshift-default", "a"))
	f("B-07 of a Gateway that is gone all is to go, and its node is nobody's", []string{pruning, "shop/a"}, 1, served("egret", "a", "b"), served("egret", "a"))
}

func TestServiceOf(t *testing.T) {
	t.Run("B-06 a Gateway's addresses are looked for at the Service of its resource name", func(t *testing.T) {
		c, s := leading(t), served("egret", "a")
		for _, name := range []string{"egret-shop-a", source.NodeID(source.Class{Controller: source.ControllerEgret}, "shop", "a")} {
			s.Services = append(s.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}})
		}
		c.take(s)
		if svc := serviceOf(&s, c.gateways["shop/a"].fleet); svc == nil || svc.Name != "egret-shop-a" {
			t.Errorf("the Service is %v", svc)
		}
	})
}
