package compile

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// Options says which part of the resources is ours.
type Options struct {
	// Controllers are the controllerNames whose GatewayClasses are served;
	// empty means all that source.Snapshot.Class knows.
	Controllers []string
	// Classes are names of classes that are served besides, whoever controls them.
	Classes []string
	// Apart are Gateways (namespace/name) whose pods count limits each for
	// itself, with the number of pods; limits then say so.
	Apart map[string]int
	// Alone says that nobody else reads these resources and that one process
	// serves all of them, as with files: routes and policies whose target does
	// not exist are reported rather than left to another controller, and a
	// Service in front of a Gateway of ours leads to it without a network.
	Alone bool
	// Namespace is where the operator's rules for the way out are; with Alone,
	// source.EgressNamespaces. Egress are those that were in force before, for
	// when the ones that are there cannot be read.
	Namespace string
	Egress    *source.Egress
	// MaaSNamespace is that of the MaaS API, whose registry of external models
	// routes obey; "" means opendatahub.
	MaaSNamespace string
}

// Compile returns the plan that serves the snapshot's Gateways, and the
// conditions of every object that had a part in it. It changes nothing in s.
func Compile(s source.Snapshot, o Options) (*plan.Plan, []source.Condition) {
	c := &compiler{
		snapshot: &s,
		options:  o,
		index:    newIndex(&s),
		ours:     map[name]*gateway{},
		routeOf:  map[name]*route{},
		backends: map[backendKey]*backend{},
		names:    map[string]backendKey{},
		secrets:  map[string]plan.Secret{},
		check:    newChecker(),
		ways:     map[string]*source.WayOut{},
	}
	c.readEgress()
	c.registry = c.readRegistry()
	c.compileClasses()
	c.compileGateways()
	c.compileTLSPolicies()
	c.compileRoutes()
	p := &plan.Plan{Policies: c.compilePolicies()}
	p.Ports = c.ports()
	p.Rules = c.rules()
	p.Backends = c.planBackends()
	p.Secrets = c.planSecrets(p)
	c.reportGateways()
	c.reportDestinations()
	c.reportTLSPolicies()
	c.reportXBackends()
	return p, c.sorted()
}

// compiler is the state of one Compile.
type compiler struct {
	snapshot *source.Snapshot
	options  Options
	*index

	ours        map[name]*gateway // of the classes that are served
	attached    []*route          // with a parent among ours, by age
	routeOf     map[name]*route   // the same by name
	backends    map[backendKey]*backend
	names       map[string]backendKey // of backends, so that they stay unique
	secrets     map[string]plan.Secret
	check       checker
	egress      *source.Egress
	operator    string                    // the namespace of these rules
	ways        map[string]*source.WayOut // by namespace
	registry    *registry
	allTLS      []*tlsPolicy             // by age
	tlsPolicies map[tlsTarget]*tlsPolicy // those that count
	conditions  []source.Condition
}

// problem is why something does not work as written: a condition's reason and
// message. A nil problem is none.
type problem struct{ reason, message string }

func problemf(reason, format string, args ...any) *problem {
	return &problem{reason, fmt.Sprintf(format, args...)}
}

// subject is what a condition is about.
type subject struct {
	kind   string
	object metav1.Object
	parent source.Ref
}

func (c *compiler) report(s subject, typ string, status metav1.ConditionStatus, reason, message string) {
	c.conditions = append(c.conditions, source.Condition{
		Kind: s.kind, Namespace: s.object.GetNamespace(), Name: s.object.GetName(), Parent: s.parent,
		Type: typ, Status: status, Reason: reason, Message: message,
		Generation: s.object.GetGeneration(),
	})
}

// promise reports a condition that is True with a reason of its own unless p
// says why it is not.
func (c *compiler) promise(s subject, typ, reason, message string, p *problem) {
	if p != nil {
		c.report(s, typ, metav1.ConditionFalse, p.reason, p.message)
		return
	}
	c.report(s, typ, metav1.ConditionTrue, reason, message)
}

// sorted returns the conditions by object, part and type.
func (c *compiler) sorted() []source.Condition {
	slices.SortStableFunc(c.conditions, func(a, b source.Condition) int {
		return cmp.Or(
			cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
			byRef(a.Parent, b.Parent),
			cmp.Compare(a.Type, b.Type),
		)
	})
	return c.conditions
}

func byRef(a, b source.Ref) int {
	return cmp.Or(
		cmp.Compare(a.Group, b.Group),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.SectionName, b.SectionName),
		cmp.Compare(a.Port, b.Port),
	)
}
