package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Namespace makes a namespace for the test and returns its name. It is removed
// when the test ends; if the test failed, Logs are printed before.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Annotations:  map[string]string{"egret.dev/test": t.Name()},
	}}
	if err := c.client.Create(t.Context(), ns); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := client.IgnoreNotFound(c.client.Delete(ctx, ns)); err != nil {
			t.Errorf("remove namespace %s: %v", ns.Name, err)
		}
	})
	c.Logs(t, ns.Name)
	return ns.Name
}

// Logs prints, if the test fails, the pods, events and last log lines of
// namespaces as they are when it ends.
func (c *Cluster) Logs(t testing.TB, namespaces ...string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		for _, ns := range namespaces {
			t.Log(c.account(ctx, ns))
		}
	})
}

// account tells how a namespace is.
func (c *Cluster) account(ctx context.Context, namespace string) string {
	var b strings.Builder
	say := func(args ...string) {
		fmt.Fprintf(&b, "$ kubectl %s\n", strings.Join(args, " "))
		out, err := c.try(ctx, "", args...)
		b.WriteString(out)
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	say("get", "pods", "-n", namespace, "-o", "wide")
	say("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
	pods, _ := c.try(ctx, "", "get", "pods", "-n", namespace, "-o", "name")
	for pod := range strings.FieldsSeq(pods) {
		say("logs", "-n", namespace, pod, "--all-containers", "--prefix", "--tail=100")
	}
	return b.String()
}
