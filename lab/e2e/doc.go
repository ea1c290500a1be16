// Package e2e tests Egret on a real Kubernetes cluster, from the outside: with
// manifests, kubectl, curl and signals. `make test-cluster` runs it, on the
// cluster that KUBECONFIG names or on a test cluster of its own (see
// lab/cluster). Without the build tag "cluster" there is nothing here.
package e2e
