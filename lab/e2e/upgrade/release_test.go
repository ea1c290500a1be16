//go:build cluster

package upgrade

import (
	"testing"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// TestRelease upgrades the quickstart by one release under load, by way of
// every combination of old and new.
func TestRelease(t *testing.T) {
	s := prepare(t, cluster.Open(t))

	// Calls that failed end no step; where one did not get to its end, the next
	// has nothing to begin from.
	begun, ended := 0, 0
	step := func(name string, do func(t *testing.T)) {
		if begun == ended {
			begun++
			t.Run(name, func(t *testing.T) { do(t); ended++ })
		}
	}
	step("old controllers, old planes", func(t *testing.T) {
		s.enforced(t, 20)
		s.lossless(t)
	})
	step("old controllers, new planes", func(t *testing.T) {
		s.roll(t, "images: {egret: "+image+"latest}", "latest")
		s.enforced(t, 21)
		s.lost(t, unannounced)
	})
	step("new controllers, old planes", func(t *testing.T) {
		s.roll(t, "images: {egret: "+image+"previous}", "previous")
		s.Upgrade(t, stage.Manifest(""))
		s.enforced(t, 22)
		s.lost(t, unannounced)
	})
	step("new controllers, new planes", func(t *testing.T) {
		s.roll(t, "", "latest")
		s.Kubectl(t, "wait", "gateway/maas-default-gateway", "-n", "openshift-ingress", "--for=condition=Programmed", "--timeout="+soon.String())
		s.enforced(t, 23)
		s.ended(t)
		s.lost(t, unannounced)
	})
	step("gateway-49 gateway-50 parameters that change roll a fleet, onto the other plane too, and no call fails", s.parametersChange)
	step("a node that is emptied takes one pod at a time, and no call fails", s.evictions)
	step("gateway-27 gateway-32 B-15 B-24 two controllers side by side leave each other's entries, and are silent", s.sideBySide)
	step("gateway-27 the leader is killed: another takes over, and no call fails", s.leaderDies)
}
