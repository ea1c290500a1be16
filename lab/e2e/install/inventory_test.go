//go:build cluster

package install

import (
	"slices"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/cluster"
)

// inventory lists, as "Kind namespace/name", all objects of a cluster but those
// that the cluster makes by itself, and those of tests' own namespaces.
func inventory(t *testing.T, c *cluster.Cluster) (out []string) {
	t.Helper()
	types := strings.Fields(c.Kubectl(t, "api-resources", "--verbs=list", "-o", "name"))
	types = slices.DeleteFunc(types, func(name string) bool {
		kind, _, _ := strings.Cut(name, ".")
		return slices.Contains([]string{"events", "endpoints", "endpointslices", "replicasets", "controllerrevisions", "componentstatuses", "csinodes", "ipaddresses"}, kind)
	})
	objects := c.Kubectl(t, "get", strings.Join(types, ","), "-A", "--ignore-not-found", "-o",
		`jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
	for line := range strings.Lines(objects) {
		line = strings.TrimSpace(line)
		_, name, _ := strings.Cut(line, " ")
		if own := strings.HasPrefix(name, "e2e-") || strings.HasPrefix(name, "/e2e-"); own || strings.HasPrefix(name, "kube-") {
			continue
		}
		if slices.Contains([]string{"kube-root-ca.crt", "default"}, name[strings.LastIndexByte(name, '/')+1:]) {
			continue // of every namespace
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// left is what is there besides what was before. The accounts that people were
// given by their tokens, in namespaces of their tiers, are theirs and stay; the
// test removes them when it ends.
func left(t *testing.T, c *cluster.Cluster, before []string, more ...string) []string {
	t.Helper()
	return slices.DeleteFunc(inventory(t, c), func(o string) bool {
		return slices.Contains(before, o) || slices.Contains(more, o) || strings.Contains(o, "maas-default-gateway-tier-")
	})
}
