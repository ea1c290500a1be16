// Package v0alpha0 holds the types of group ainetworking.prototype.x-k8s.io:
// XBackendDestination, which says where traffic leaves the cluster to and how,
// and Backend, its predecessor, which is stored and otherwise ignored.
//
// A route refers to an XBackendDestination by the kind "Backend" of this group
// (the alias that every published manifest uses) or by its real kind.
//
// +kubebuilder:object:generate=true
// +groupName=ainetworking.prototype.x-k8s.io
package v0alpha0
