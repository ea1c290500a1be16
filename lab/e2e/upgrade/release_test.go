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

	step := func(name string, do func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, do)
		}
	}
	step("old controllers, old planes", func(t *testing.T) {
		s.enforced(t, 20)
		s.lossless(t)
	})
	step("old controllers, new planes", func(t *testing.T) {
		s.roll(t, "images: {egret: "+image+"latest}", "latest")
		s.enforced(t, 21)
		s.lossless(t)
	})
	step("new controllers, old planes", func(t *testing.T) {
		s.roll(t, "images: {egret: "+image+"previous}", "previous")
		s.Upgrade(t, stage.Manifest(""))
		s.enforced(t, 22)
		s.lossless(t)
	})
	step("new controllers, new planes", func(t *testing.T) {
		s.roll(t, "", "latest")
		s.enforced(t, 23)
		s.lossless(t)
	})
}
