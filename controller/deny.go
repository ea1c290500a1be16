package controller

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/source"
)

// delivery says that planes have what a ConfigMap of the deny-list says.
type delivery map[string]string // name of the ConfigMap → hash

// deniers are the ConfigMaps of the MaaS API's deny-list. Those of other
// namespaces are nobody's: whoever may write one could lock people out.
func (c *Controller) deniers(s *source.Snapshot) (out []*corev1.ConfigMap) {
	for _, m := range s.ConfigMaps {
		if m.Namespace == c.o.MaaSNamespace && m.Labels[source.LabelDenials] == "true" {
			out = append(out, m)
		}
	}
	return out
}

// denials reads the deny-list.
func (c *Controller) denials(s *source.Snapshot) (out []feed.Denial) {
	for _, m := range c.deniers(s) {
		list, _ := source.Denials(m)
		for _, d := range list {
			out = append(out, feed.Denial{Subject: d.Subject, Until: d.Until})
		}
	}
	return out
}

// confirm tells the MaaS API, by annotations on the deny-list, once no pod is
// left that could hold an earlier one.
func (c *Controller) confirm() {
	todo := delivery{}
	for _, m := range c.deniers(&c.snapshot) {
		if _, hash := source.Denials(m); m.Annotations[source.DeliveredAnnotation(c.o.Name)] != hash && c.delivered[m.Name] != hash {
			todo[m.Name] = hash
		}
	}
	if len(todo) == 0 || !c.known((&feed.Feed{Denied: c.denied}).Epoch()) {
		return
	}
	maps.Copy(c.delivered, todo)
	select {
	case late := <-c.deliver: // not yet written: goes together
		for name, hash := range late {
			if _, newer := todo[name]; !newer {
				todo[name] = hash
			}
		}
	default:
	}
	c.deliver <- todo
}

// known reports whether every pod has the denials of the epoch: those that are
// connected, and all are that serve, by their endpoints and by their number. A
// pod that serves and is not connected, be it on its way to a new leader, cut
// off, or of a Gateway that is not fed, holds what it was told last. One that
// does not serve yet is told before it does.
func (c *Controller) known(epoch string) bool {
	connected := map[string]int32{} // by Deployment
	hosts := map[string]bool{}      // pods by UID
	for _, g := range c.gateways {
		for _, s := range c.xds.Streams(g.node) {
			for _, sub := range s.Types {
				if sub.Type != feed.TypeHead {
					continue
				}
				if versionOf(sub.Acked).epoch != epoch {
					return false
				}
				connected[g.fleet.Gateway.Namespace+"/"+g.fleet.Name()]++
				hosts[s.Host] = true
			}
		}
	}
	label := source.Class{Controller: c.o.Name}.ManagedLabel()
	for _, d := range c.snapshot.Deployments {
		ours := d.Labels[source.LabelManaged] == label && d.Annotations[source.AnnotationGateway] != ""
		if !ours {
			continue
		}
		if connected[d.Namespace+"/"+d.Name] < d.Status.ReadyReplicas {
			return false
		}
		for _, uid := range c.serve(d.Namespace, d.Name) {
			if !hosts[uid] {
				return false
			}
		}
	}
	return true
}

// serve returns the UIDs of the pods behind a fleet's Service that serve, also
// of those that end.
func (c *Controller) serve(namespace, name string) (out []string) {
	for _, slice := range c.snapshot.EndpointSlices {
		if slice.Namespace != namespace || slice.Labels[discoveryv1.LabelServiceName] != name {
			continue
		}
		for _, e := range slice.Endpoints {
			serving := e.Conditions.Serving
			if serving == nil {
				serving = e.Conditions.Ready
			}
			if (serving == nil || *serving) && e.TargetRef != nil && e.TargetRef.UID != "" {
				out = append(out, string(e.TargetRef.UID))
			}
		}
	}
	return out
}

// deliverAll writes the annotations until ctx ends. One that cannot be written
// is tried again: until it is, the API waits for its time at each revocation,
// or no longer believes that this controller answers.
func (c *Controller) deliverAll(ctx context.Context) error {
	owed := delivery{}
	for {
		var again <-chan time.Time
		if len(owed) > 0 {
			again = time.After(firstRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case todo := <-c.deliver:
			maps.Copy(owed, todo)
		case <-again:
		}
		for name, hash := range owed {
			err := c.tellDelivered(ctx, name, hash)
			if err == nil || apierrors.IsNotFound(err) || !c.lead.leading.Load() {
				delete(owed, name)
			} else if ctx.Err() == nil {
				c.log.Warn("the MaaS API cannot be told that its deny-list was delivered; it is tried again", "configmap", name, "error", err)
			}
		}
	}
}

func (c *Controller) tellDelivered(ctx context.Context, name, hash string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{source.DeliveredAnnotation(c.o.Name): hash}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.o.MaaSNamespace, Name: name}}
	return c.client.Patch(ctx, m, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(c.o.Name))
}

// tellLimit bounds one attempt to write an annotation.
const tellLimit = 5 * time.Second
