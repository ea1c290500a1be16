package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Types of Envoy's resources that the protocol itself treats apart.
const (
	TypeListener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	TypeRoute     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	TypeCluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	TypeEndpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeSecret    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
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
	// ID names the Set to whoever reads what was acknowledged; the server does
	// not look into it.
	ID    string
	Types []Group // in the order in which they are sent
	// Gate withholds the groups from this index on, on all streams of the
	// node, until every connected stream has acknowledged what it subscribes
	// to of the groups before it. 0 withholds nothing.
	Gate int
}

// Group is all resources of one type, sorted by name.
type Group struct {
	Type      string
	Version   string // of the group: changes with any of its resources
	Resources []Resource
}

// NewSet groups resources by type, in the order of types. Types without a
// resource have an empty group, so that what was there before is removed.
// Resources of types that are not listed are left out.
func NewSet(types []string, resources []Resource) *Set {
	byType := make(map[string][]Resource, len(types))
	for _, r := range resources {
		byType[r.Type] = append(byType[r.Type], r)
	}
	s := &Set{}
	for _, t := range types {
		g := Group{Type: t, Resources: byType[t]}
		slices.SortFunc(g.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
		sum := sha256.New()
		for i := range g.Resources {
			writeVersion(sum, &g.Resources[i])
		}
		g.Version = hex.EncodeToString(sum.Sum(nil)[:8])
		s.Types = append(s.Types, g)
	}
	return s
}

// Digest names all that is in the Set, 16 hex digits: equal Sets have equal
// ones.
func (s *Set) Digest() string {
	sum := sha256.New()
	for i := range s.Types {
		_, _ = sum.Write([]byte(s.Types[i].Type + "\x00" + s.Types[i].Version + "\x00"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// find returns the resource of that name, nil when there is none.
func (g *Group) find(name string) *Resource {
	i, ok := slices.BinarySearchFunc(g.Resources, name, func(r Resource, n string) int { return strings.Compare(r.Name, n) })
	if !ok {
		return nil
	}
	return &g.Resources[i]
}

func writeVersion(to interface{ Write([]byte) (int, error) }, r *Resource) {
	_, _ = to.Write([]byte(r.Name + "\x00" + r.Version + "\x00"))
}
