package kube

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
)

// Bounds of the deny-list on a cluster.
const (
	shardEntries = 10_000 // denials in one ConfigMap: below 800 KiB, of 1 MiB that one may have
	maxShards    = 32     // ConfigMaps
	maxSubject   = 72     // characters of a subject

	patience  = 3 * time.Second       // for controllers to deliver a denial
	lookAgain = 25 * time.Millisecond // how often they are asked
)

// Deny implements maas.Cluster: the denials are written to a ConfigMap of the
// deny-list, and have reached every plane when it returns, unless a controller
// takes longer than Patience, which is logged. It fails when they cannot be
// written. Denials that have ended are dropped meanwhile.
func (c *Cluster) Deny(ctx context.Context, d ...store.Denial) error {
	for _, e := range d {
		if e.Subject == "" || len(e.Subject) > maxSubject || strings.ContainsFunc(e.Subject, unfit) {
			return fmt.Errorf("denial of %.100q: %w", e.Subject, store.ErrInvalid)
		}
	}
	if len(d) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		name, err := c.write(ctx, d)
		if err == nil {
			return c.delivered(ctx, name, d)
		}
		lost := apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
		if !lost || try == tries {
			return fmt.Errorf("write the deny-list: %w", err)
		}
	}
}

// unfit reports whether a character may not be in a subject.
func unfit(r rune) bool { return r <= ' ' || r > '~' }

// write adds denials to the first ConfigMap with room and returns its name.
func (c *Cluster) write(ctx context.Context, d []store.Denial) (string, error) {
	var shards corev1.ConfigMapList
	err := c.Client.List(ctx, &shards, client.InNamespace(c.Namespace), client.MatchingLabels{maas.DenialsLabel: "true"})
	if err != nil {
		return "", err
	}
	for i := range maxShards {
		name := shardName(i)
		at := slices.IndexFunc(shards.Items, func(m corev1.ConfigMap) bool { return m.Name == name })
		if at < 0 {
			shard := c.newShard(name, d)
			inherit(shard, shards.Items)
			return name, c.Client.Create(ctx, shard)
		}
		shard := &shards.Items[at]
		list := c.current(shard)
		add(list, d)
		if len(list) > shardEntries {
			continue
		}
		maas.WriteDenials(shard, list)
		return name, c.Client.Update(ctx, shard)
	}
	return "", fmt.Errorf("%d ConfigMaps of %d denials each are full", maxShards, shardEntries)
}

// Prepare makes the first ConfigMap of the deny-list, empty, when there is
// none, so that controllers can say that they are there before anything is
// revoked.
func (c *Cluster) Prepare(ctx context.Context) error {
	err := c.Client.Create(ctx, c.newShard(maas.DenialsConfigMap, nil))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// inherit makes a new ConfigMap wait for the controllers that the others know.
func inherit(shard *corev1.ConfigMap, others []corev1.ConfigMap) {
	for _, o := range others {
		for name := range o.Annotations {
			if strings.HasPrefix(name, maas.DeliveredPrefix) {
				metav1.SetMetaDataAnnotation(&shard.ObjectMeta, name, "")
			}
		}
	}
}

func shardName(i int) string {
	if i == 0 {
		return maas.DenialsConfigMap
	}
	return maas.DenialsConfigMap + "-" + strconv.Itoa(i)
}

func (c *Cluster) newShard(name string, d []store.Denial) *corev1.ConfigMap {
	list := map[string]time.Time{}
	add(list, d)
	shard := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: c.Namespace, Name: name,
		Labels: map[string]string{maas.DenialsLabel: "true", "app.kubernetes.io/part-of": "models-as-a-service"},
	}}
	maas.WriteDenials(shard, list)
	return shard
}

// current returns the denials of a ConfigMap that still count. A line that
// cannot be read refuses nobody and is left out.
func (c *Cluster) current(shard *corev1.ConfigMap) map[string]time.Time {
	denials, err := maas.ReadDenials(shard)
	if err != nil {
		c.Log.Error("a line of the deny-list cannot be read and is removed", "error", err)
	}
	list := make(map[string]time.Time, len(denials))
	for _, e := range denials {
		if c.Now().Before(e.Until) {
			list[e.Subject] = e.Until
		}
	}
	return list
}

// add puts denials on a list; a subject that is on it keeps the later end.
func add(list map[string]time.Time, d []store.Denial) {
	for _, e := range d {
		if e.Until.After(list[e.Subject]) {
			list[e.Subject] = e.Until
		}
	}
}

// delivered waits until the controllers have delivered the ConfigMap.
func (c *Cluster) delivered(ctx context.Context, name string, d []store.Denial) error {
	began := c.Now()
	deadline := time.NewTimer(cmp.Or(c.Patience, patience))
	defer deadline.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	var late []string
	for {
		var shard corev1.ConfigMap
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, &shard)
		if err == nil {
			if late = missing(&shard); len(late) == 0 {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil // it is written, and who asked has left
		case <-deadline.C:
			c.Log.Warn("a revocation is written, but not every controller has said that its gateways know; "+
				"where a controller is gone for good, remove its annotation", "configmap", c.Namespace+"/"+name,
				"waiting for", late, "denials", len(d), "waited", c.Now().Sub(began).String())
			return nil
		}
	}
}

// missing names the controllers that have not delivered what the ConfigMap
// says. At least one has to.
func missing(m *corev1.ConfigMap) []string {
	hash, anybody := maas.DenialsHash(m), false
	var late []string
	for _, name := range slices.Sorted(maps.Keys(m.Annotations)) {
		controller, ours := strings.CutPrefix(name, maas.DeliveredPrefix)
		if !ours {
			continue
		}
		anybody = true
		if m.Annotations[name] != hash {
			late = append(late, controller)
		}
	}
	if !anybody {
		return []string{"any controller"}
	}
	return late
}
