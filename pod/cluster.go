package pod

import (
	"os"

	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/plan"
)

// cluster tells this cluster from others, and is the same in all its pods: by
// the certificates of its API server. "" where there are none.
func cluster(c *rest.Config) string {
	if c == nil {
		return ""
	}
	ca := c.CAData
	if len(ca) == 0 {
		ca, _ = os.ReadFile(c.CAFile)
	}
	if len(ca) == 0 {
		return ""
	}
	return plan.Digest(string(ca))
}
