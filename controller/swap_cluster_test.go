//go:build cluster

package controller

import (
	"context"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/xds"
)

// testSwap changes the plane of Gateways whose pods of before serve on.
func testSwap(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	for _, plane := range []string{source.PlaneEnvoy, source.PlaneNative} {
		w.gateway("was-"+plane, "egret", plane)
		w.route("first-"+plane, "was-"+plane, "example.com")
	}
	c := w.run()
	envoy, native := w.pod("was-envoy", source.PlaneEnvoy), w.pod("was-native", source.PlaneNative)
	var gone received // what Envoy loses
	envoy.Envoy.Heard = gone.note
	envoys, stop := context.WithCancel(t.Context())
	defer stop()
	ends := []<-chan error{c.joinUntil(envoys, envoy), c.join(native)}
	w.awaitProgrammed("was-envoy", "True", "Programmed")
	w.awaitProgrammed("was-native", "True", "Programmed")
	gone.take()

	swap := func(gateway, plane string) {
		w.do("PATCH", w.api("gateways")+"/"+gateway, `{"spec":{"infrastructure":{"parametersRef":{"name":"`+plane+`"}}}}`)
	}
	routed := func(path string) bool {
		for _, table := range envoy.Envoy.Have(xds.TypeRoute) {
			if strings.Contains(string(table.Value), path) {
				return true
			}
		}
		return false
	}
	knows := func(p *pods.Pod, route string) bool {
		_, ok := p.Engine.Have(feed.TypeRule)[w.ns+"/"+route+"/0"]
		return ok
	}
	t.Run("gateway-49 gateway-50 Envoys that another plane replaces are told what changes until they go", func(t *testing.T) {
		swap("was-envoy", source.PlaneNative)
		w.await("the other plane", func() bool { return len(w.containers("was-envoy")) == 1 })
		w.route("second-envoy", "was-envoy", "example.com")
		w.await("the second route", func() bool { return knows(envoy, "second-envoy") && routed("/second-envoy") })
		w.awaitProgrammed("was-envoy", "True", "Programmed")
	})
	t.Run("gateway-100 also when another replica leads meanwhile", func(t *testing.T) {
		c.stop()
		for _, ended := range ends {
			<-ended
		}
		w.route("third-envoy", "was-envoy", "example.com")
		c = w.run(func(o *Options) { o.XDSAddress, o.XDSListen = c.address, c.address })
		c.joinUntil(envoys, envoy)
		c.join(native)
		w.await("the third route", func() bool { return knows(envoy, "third-envoy") && routed("/third-envoy") })
	})
	t.Run("and they lose nothing", func(t *testing.T) {
		if n := len(envoy.Envoy.Have(xds.TypeListener)); n != 1 {
			t.Errorf("Envoy has %d listeners", n)
		}
		for _, name := range gone.take() {
			if !strings.HasPrefix(name, "RouteConfiguration ") {
				t.Errorf("Envoy was told of %s", name)
			}
		}
	})
	t.Run("when they are gone nothing is made for them any more", func(t *testing.T) {
		stop()
		w.await("a Set without Envoy's types", func() bool { return c.xds.Counts()[xds.TypeListener].Streams == 0 })
		c.join(w.pod("was-envoy", source.PlaneNative))
		w.awaitProgrammed("was-envoy", "True", "Programmed")
	})
	t.Run("gateway-49 gateway-50 a native pod that Envoys replace is told what changes until it goes", func(t *testing.T) {
		swap("was-native", source.PlaneEnvoy)
		w.await("the other plane", func() bool { return len(w.containers("was-native")) == 2 })
		w.route("second-native", "was-native", "example.com")
		w.await("the second route", func() bool { return knows(native, "second-native") && knows(native, "first-native") })
	})
	t.Run("gateway-51 but it is no Envoy, and the Gateway is not programmed before one is there", func(t *testing.T) {
		w.awaitProgrammed("was-native", "False", "Pending")
		c.join(w.pod("was-native", source.PlaneEnvoy))
		w.awaitProgrammed("was-native", "True", "Programmed")
	})
}
