// Package credential is the schema of a backend's extension of type
// gateway.networking.k8s.io/CredentialInjector:v1: what an XBackendDestination's
// spec.extensions[].rawConfig may say, how it is read, and what is wrong with it.
//
//	rawConfig ─► Read ─► Injector, or an Error that names the field
//
// Both shapes that proposal 10 shows are taken: phase, priority and failOpen
// beside secretRef, or beside config.secretRef.
//
// In: the types, their defaults, schema.json for editors and other programs.
// Out: Secrets (compile), and using them (provider/account).
package credential
