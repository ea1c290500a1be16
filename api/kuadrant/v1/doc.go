// Package v1 holds AuthPolicy and RateLimitPolicy of group kuadrant.io/v1.
//
// Everything that Egret enforces is typed. What it stores and reports but does
// not enforce (opa, spicedb, oauth2Introspection, x509, userInfo, uma,
// wristband, callbacks) is kept as raw JSON, so that its presence is visible
// and nothing of it is lost. What values are allowed is said by the CRDs.
//
// +kubebuilder:object:generate=true
// +groupName=kuadrant.io
package v1
