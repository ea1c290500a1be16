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

	"github.com/egret-gateway/egret/source"
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
	name, err := c.enter(ctx, d)
	if err != nil {
		return fmt.Errorf("write the deny-list: %w", err)
	}
	return c.delivered(ctx, name, d)
}

// enter writes denials, one caller after the other, and again where a
// controller or another replica wrote the same ConfigMap meanwhile.
func (c *Cluster) enter(ctx context.Context, d []store.Denial) (name string, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for range tries {
		name, err = c.write(ctx, d)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return name, err
		}
	}
	return name, err
}

// unfit reports whether a character may not be in a subject.
func unfit(r rune) bool { return r <= ' ' || r > '~' }

// write adds denials to the first ConfigMap with room and returns its name.
func (c *Cluster) write(ctx context.Context, d []store.Denial) (string, error) {
	var shards corev1.ConfigMapList
	err := c.Client.List(ctx, &shards, client.InNamespace(c.Namespace), client.MatchingLabels{source.LabelDenials: "true"})
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
		source.SetDenials(shard, list)
		return name, c.Client.Update(ctx, shard)
	}
	return "", fmt.Errorf("%d ConfigMaps of %d denials each are full", maxShards, shardEntries)
}

// Prepare makes the first ConfigMap of the deny-list, empty, when there is
// none, so that controllers can say that they are there before anything is
// revoked.
func (c *Cluster) Prepare(ctx context.Context) error {
	err := c.Client.Create(ctx, c.newShard(source.DenialsConfigMap, nil))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// inherit makes a new ConfigMap wait for the controllers that the others know.
func inherit(shard *corev1.ConfigMap, others []corev1.ConfigMap) {
	for i := range others {
		for controller := range source.Delivered(&others[i]) {
			metav1.SetMetaDataAnnotation(&shard.ObjectMeta, source.DeliveredAnnotation(controller), "")
		}
	}
}

func shardName(i int) string {
	if i == 0 {
		return source.DenialsConfigMap
	}
	return source.DenialsConfigMap + "-" + strconv.Itoa(i)
}

func (c *Cluster) newShard(name string, d []store.Denial) *corev1.ConfigMap {
	list := map[string]time.Time{}
	add(list, d)
	shard := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: c.Namespace, Name: name,
		Labels: map[string]string{source.LabelDenials: "true", "app.kubernetes.io/part-of": "models-as-a-service"},
	}}
	source.SetDenials(shard, list)
	return shard
}

// current returns the denials of a ConfigMap that still count.
func (c *Cluster) current(shard *corev1.ConfigMap) map[string]time.Time {
	denials, _ := source.Denials(shard)
	list := make(map[string]time.Time, len(denials))
	for _, e := range denials {
		if c.Now().Before(e.Until) && e.Until.After(list[e.Subject]) {
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
	began := time.Now()
	deadline := time.NewTimer(cmp.Or(c.Patience, patience))
	defer deadline.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	late := map[string]string{}
	for {
		var shard corev1.ConfigMap
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, &shard)
		if err == nil {
			late = c.late(&shard)
			if len(late) == 0 {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil // it is written, and who asked has left
		case <-deadline.C:
			c.giveUp(name, late)
			c.Log.Warn("a revocation is written, but not every controller has said that its gateways know; "+
				"one that stays silent is not waited for again", "configmap", c.Namespace+"/"+name,
				"waiting for", slices.Sorted(maps.Keys(late)), "denials", len(d), "waited", time.Since(began).String())
			return nil
		}
	}
}

// nobody stands for the controller that has yet to say that it is there.
const nobody = "any controller"

// late returns the controllers that have not delivered what the ConfigMap says
// and the versions that they have. At least one controller has to deliver it;
// one that was given up on has to say something new before it counts again.
func (c *Cluster) late(m *corev1.ConfigMap) map[string]string {
	_, version := source.Denials(m)
	by := source.Delivered(m)
	if len(by) == 0 {
		by[nobody] = ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(by, func(controller, has string) bool {
		last, silent := c.silent[m.Name+" "+controller]
		return has == version || silent && last == has
	})
	return by
}

// giveUp remembers controllers that did not answer in time, such as those that
// were removed from the cluster, so that only one revocation waits for them.
func (c *Cluster) giveUp(name string, late map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent == nil {
		c.silent = map[string]string{}
	}
	for controller, has := range late {
		c.silent[name+" "+controller] = has
	}
}
