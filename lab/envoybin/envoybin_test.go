package envoybin_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/envoybin"
)

// TestPath: what is brought runs, and is the version that was asked for.
func TestPath(t *testing.T) {
	for _, version := range envoybin.Versions {
		out, err := exec.CommandContext(t.Context(), envoybin.Path(t, version), "--version").Output()
		if err != nil || !strings.Contains(string(out), "/"+version+"/") {
			t.Errorf("version %s says of itself %q, error %v", version, out, err)
		}
	}
}
