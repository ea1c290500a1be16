package controller

import (
	"slices"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// reasonEgressUnread is that of Gateways while the operator's rules for the way
// out cannot be read and none of before are known.
const reasonEgressUnread = "EgressRulesInvalid"

// egress is what the controller knows of the operator's rules for the way out.
type egress struct {
	rules  *source.Egress // in force, the last that could be read
	known  bool           // rules are; also where there are none
	broken string         // why those that are there are not
	found  []string       // ranges of the cluster, as ranges found them
}

// rule reads the operator's object. One that is broken leaves the last good one
// in force; a controller that has seen none since its start changes nothing of
// what runs (unserved).
func (c *Controller) rule(s *source.Snapshot) {
	e, _, err := source.FindEgress(s, c.o.Self.Namespace)
	if err == nil {
		c.egress.rules, c.egress.known, c.egress.broken = e, true, ""
		return
	}
	if c.egress.broken != err.Error() {
		c.log.Error("the operator's rules for the way out cannot be read", "error", err, "before", c.egress.known)
	}
	c.egress.broken = err.Error()
}

// last are the rules in force for compile: not nil where they are known.
func (e *egress) last() *source.Egress {
	if e.known && e.rules == nil {
		return &source.Egress{}
	}
	return e.rules
}

// unruled says that nobody knows where backends may lead.
func (e *egress) unruled() *problem {
	if e.known {
		return nil
	}
	return &problem{reasonEgressUnread, "The operator's rules for the way out cannot be read, so that nothing new is served; pods that run go on with what they had. " + e.broken}
}

// enclose adds to a fleet's settings what no name from outside may lead to: the
// cluster's ranges, as the operator says and as they were found.
func (e *egress) enclose(s *feed.Settings) {
	s.Refuse = slices.Clone(e.found)
	if e.rules != nil {
		c := &e.rules.Cluster
		s.Refuse = slices.Concat(s.Refuse, c.Pods, c.Services, c.Nodes)
		s.Allow = slices.Clone(c.Allow)
	}
	slices.Sort(s.Refuse)
	s.Refuse = slices.Compact(s.Refuse)
}

// rolling is the digest of those settings that pods take up at their start. The
// ranges of a cluster come and go with its nodes, and are followed at once.
func rolling(s feed.Settings) string {
	s.Refuse, s.Allow = nil, nil
	return plan.Digest(s)
}

// ranged takes ranges that were found, and tells all pods of them.
func (c *Controller) ranged(found []string) {
	if slices.Equal(c.egress.found, found) {
		return
	}
	c.egress.found = found
	c.egress.enclose(&c.settings)
	for _, g := range c.gateways {
		if g.plan != nil {
			c.publish(g)
		}
	}
}
