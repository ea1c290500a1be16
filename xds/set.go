package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Resource is one named thing of a type.
type Resource struct {
	Type    string // type URL
	Name    string
	Version string // hash of Value, 16 hex digits
	Value   []byte // what an Any of the type holds
}

// NewResource returns a resource with the version that its value has.
func NewResource(typeURL, name string, value []byte) Resource {
	sum := sha256.Sum256(value)
	return Resource{Type: typeURL, Name: name, Version: hex.EncodeToString(sum[:8]), Value: value}
}

// Set is what a node may have at one moment. It must not be changed.
type Set struct {
	Types []Group // in the order in which they are sent
}

// Group is all resources of one type, sorted by name.
type Group struct {
	Type      string
	Version   string // of the group: changes with any of its resources
	Resources []Resource
}

// NewSet groups resources by type, in the order of types. Types without a
// resource have an empty group, so that what was there before is removed.
func NewSet(types []string, resources []Resource) *Set {
	s := &Set{}
	for _, t := range types {
		g := Group{Type: t}
		for _, r := range resources {
			if r.Type == t {
				g.Resources = append(g.Resources, r)
			}
		}
		slices.SortFunc(g.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
		sum := sha256.New()
		for _, r := range g.Resources {
			sum.Write([]byte(r.Name + "\x00" + r.Version + "\x00"))
		}
		g.Version = hex.EncodeToString(sum.Sum(nil)[:8])
		s.Types = append(s.Types, g)
	}
	return s
}
