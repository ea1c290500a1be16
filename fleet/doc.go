// Package fleet is what runs for one Gateway on a cluster: a ConfigMap with
// Envoy's bootstrap and the controller's certificate authority, a
// ServiceAccount, a Service, a Deployment, and where they are wanted and
// permitted a PodDisruptionBudget, a HorizontalPodAutoscaler and the binding
// that lets the pods review tokens.
//
//	Gateway + Class + Parameters ─► Objects ─► Applier.Apply ─► API server
//	                                               │
//	                         State: what is ready, the addresses, conflicts
//
// Objects is pure: the same Fleet gives the same objects, and a listener more
// or less changes the Service and nothing that would restart a pod. Apply is
// server-side apply under the controller's name. It writes nothing when
// nothing differs, and never touches an object that lacks the controller's
// label. What the reference left is taken over in phases, during which State is
// Unsettled, so that its Envoys end what they do. Prune removes what no fleet
// wants any more.
//
// Not here: when to do so, what the conditions say (controller), and what the
// pods do (envoy, proxy, pod).
package fleet
