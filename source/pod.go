package source

// PodPort is where the pods of a data plane answer /ready, /healthz, /metrics
// and the kubelet's hook /drain. No listener may have it on a cluster.
const PodPort = 15021
