package controller

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// confirm tells the MaaS API, by annotations on the deny-list, once every
// connected pod has it, and pods that ran before this replica led have had
// time to connect. It returns after how long to look again, 0 for none.
func (c *Controller) confirm(now time.Time) time.Duration {
	young := settling - now.Sub(c.since)
	epoch := (&feed.Feed{Denied: c.denied}).Epoch()
	for _, g := range c.gateways {
		pods := int32(0)
		for _, s := range c.xds.Streams(g.node) {
			for _, sub := range s.Types {
				if sub.Type != feed.TypeHead {
					continue
				}
				if _, at, _ := strings.Cut(sub.Acked, "/"); at != epoch {
					return 0
				}
				pods++
			}
		}
		if young > 0 && (!g.tried() || pods < g.state.Available) {
			return young
		}
	}
	todo := delivery{}
	for _, m := range c.deniers(&c.snapshot) {
		if _, hash := source.Denials(m); m.Annotations[source.DeliveredAnnotation(c.o.Name)] != hash && c.delivered[m.Name] != hash {
			todo[m.Name], c.delivered[m.Name] = hash, hash
		}
	}
	if len(todo) == 0 {
		return 0
	}
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
	return 0
}

// deliverAll writes the annotations until ctx ends. One that cannot be written
// makes the API wait for its time, no more.
func (c *Controller) deliverAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case todo := <-c.deliver:
			for name, hash := range todo {
				patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{source.DeliveredAnnotation(c.o.Name): hash}}})
				if err == nil {
					m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.o.MaaSNamespace, Name: name}}
					err = c.client.Patch(ctx, m, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(c.o.Name))
				}
				if err != nil && ctx.Err() == nil {
					c.log.Warn("the MaaS API cannot be told that its deny-list was delivered", "configmap", name, "error", err)
				}
			}
		}
	}
}
