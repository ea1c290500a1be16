package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition is one thing that compile says about one object, in the terms of
// Gateway API. On Kubernetes it becomes status; from files it is printed.
type Condition struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Parent tells apart the parts of an object that have conditions of their
	// own. For a route it is the parentRef as resolved; for a listener only
	// SectionName is set; for the object itself it is zero.
	Parent Ref `json:"parent,omitzero"`

	// Type is the condition's type, such as Accepted or ResolvedRefs.
	Type   string                 `json:"type"`
	Status metav1.ConditionStatus `json:"status"`
	// Reason is one CamelCase word; Message is a sentence for the user that
	// says what was found where, and what to do.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// Generation is the metadata.generation that was compiled.
	Generation int64 `json:"generation,omitempty"`

	// Kinds and Attached are set on every condition of a listener: the kinds
	// of routes that may attach, joined by commas, and how many routes did.
	Kinds    string `json:"kinds,omitempty"`
	Attached int32  `json:"attached,omitempty"`
}

// Ref is a resolved reference to a parent, with every default filled in.
type Ref struct {
	Group       string `json:"group,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	SectionName string `json:"sectionName,omitempty"`
	// Port is the parentRef's port, 0 when it names none.
	Port int32 `json:"port,omitempty"`
}

// Bad reports whether the condition tells of something that does not work as
// written: a promise that is False, or a defect that is True. A Degraded
// object is served, and an Overridden policy has only met a stronger one, so
// neither is bad. Unknown is not yet known and hence not bad.
func (c Condition) Bad() bool {
	switch c.Type {
	case "Accepted", "Programmed", "ResolvedRefs", "Enforced", "Available":
		return c.Status == metav1.ConditionFalse && c.Reason != "Overridden"
	case "Conflicted", "PartiallyInvalid":
		return c.Status == metav1.ConditionTrue
	}
	return false
}

// Key returns the identity of the object the condition is about.
func (c Condition) Key() Key { return Key{c.Kind, c.Namespace, c.Name} }
