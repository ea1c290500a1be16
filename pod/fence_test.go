package pod

import (
	"net/netip"
	"testing"

	"github.com/egret-gateway/egret/provider"
)

// TestOwn: a pod knows its own address and the API server's, and no name from
// outside leads there.
func TestOwn(t *testing.T) {
	env := map[string]string{"POD_IP": "10.244.1.2", "KUBERNETES_SERVICE_HOST": "fd00:10::1"}
	around, err := provider.NewFence(own(func(name string) string { return env[name] }), nil)
	if err != nil {
		t.Fatal(err)
	}
	var f fence
	if err := f.outside(netip.MustParseAddr("10.244.1.2")); err != nil {
		t.Errorf("before there is a fence: %v", err)
	}
	f.Store(around)
	for address, refused := range map[string]bool{"10.244.1.2": true, "fd00:10::1": true, "10.244.1.3": false, "192.0.2.1": false} {
		if err := f.outside(netip.MustParseAddr(address)); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, refused := range map[string]bool{
		"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true, "64:ff9b::127.0.0.1": true, "64:ff9b:1::127.0.0.1": true, "::127.0.0.1": true,
		"2002:7f00:1::": true, "169.254.169.254": true, "192.0.2.1": false, "64:ff9b::192.0.2.1": false,
	} {
		if err := guard(netip.MustParseAddr(address)); (err != nil) != refused {
			t.Errorf("%s in a pod: %v", address, err)
		}
	}
	if got := own(func(string) string { return "" }); got != nil {
		t.Errorf("of a pod that knows nothing: %q", got)
	}
}
