package xds_test

import (
	"testing"

	"github.com/egret-gateway/egret/xds"
)

func TestVersions(t *testing.T) {
	t.Run("B-29 a version is of the content, whichever process it is of", func(t *testing.T) {
		version := func(value string) string {
			return xds.NewSet([]string{xds.TypeCluster}, []xds.Resource{xds.NewResource(xds.TypeCluster, "a", []byte(value))}).Types[0].Version
		}
		if one, again := version("one"), version("one"); one != again {
			t.Errorf("the same content has versions %s and %s", one, again)
		}
		if one, two := version("one"), version("two"); one == two {
			t.Errorf("other content has the same version %s", one)
		}
	})
}
