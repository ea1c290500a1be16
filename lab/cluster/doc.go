// Package cluster is what end-to-end tests do with a Kubernetes cluster.
//
// A test opens the cluster that KUBECONFIG names, else the test cluster that
// `make cluster-up` starts (cluster.sh beside this file, which says how it is
// made). It takes a namespace of its own, applies manifests, waits until
// something holds, sends requests to Services, runs the commands of a document
// as they stand, and ends processes:
//
//	c := cluster.Open(t)
//	ns := c.Namespace(t)
//	c.Apply(t, strings.ReplaceAll(manifests, "NAMESPACE", ns))
//	url := c.Reach(t, ns, "echo", 80)
//	c.Eventually(t, time.Minute, "echo answers", func() error {
//		a, err := c.Get(url)
//		return a.Want(200, err)
//	})
//
// In the test cluster requests go through a proxy into the cluster's network,
// so that any Service or load balancer is reached by its name or address. In a
// cluster of yours they go through `kubectl port-forward`; what needs the
// machine the cluster runs on (Kill, KillContainer) is refused there.
//
// Nothing here runs unless it is called, and everything waits for a bounded
// time. It needs kubectl: the test cluster's own, else the one on PATH.
package cluster
