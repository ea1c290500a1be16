package source

// PodPort is where the pods of a data plane answer /ready, /healthz, /metrics
// and the kubelet's hook /drain. No listener may have it on a cluster.
const PodPort = 15021

// DrainWord is the environment variable with the word that the hook must say:
// /drain?word=…. Whoever else reaches the port can stop nobody.
const DrainWord = "EGRET_DRAIN_WORD"

// ProofAudience is that of a pod's ServiceAccount token by which the MaaS API
// knows that a request came through a gateway (plan.ProofHeader).
const ProofAudience = "maas-api"
