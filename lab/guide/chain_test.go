package guide

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChain(t *testing.T) {
	out := shell(t, blocks(t, root+"/docs/guides/chain.md")...)
	if len(out) != 3 {
		t.Fatalf("%d blocks; this test knows 3", len(out))
	}
	var codes []string
	for _, line := range lines(out[1]) {
		if regexp.MustCompile(`^\d{3}$`).MatchString(line) {
			codes = append(codes, line)
		}
	}
	if diff := cmp.Diff([]string{"401", "200", "200", "429"}, codes); diff != "" {
		t.Errorf("%s in\n%s", diff, out[1])
	}
	t.Run("gateway-115 a request that comes back is answered 508", func(t *testing.T) { prints(t, out[2], `^508$`) })
}
