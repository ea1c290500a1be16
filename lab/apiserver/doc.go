// Package apiserver starts a real kube-apiserver on an etcd of its own, both on
// loopback and for the length of a test run: what a fake would only pretend
// (schema validation, defaulting, managedFields, RBAC, watches) is the thing
// itself. There are no nodes and no controllers: Deployments stay as written,
// namespaces are not swept.
//
// The programs are those of lab/cluster, in the user's cache; `make
// cluster-build` builds them. EGRET_CACHE says where the cache is.
package apiserver
