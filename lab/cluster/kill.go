package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kill ends a component of the test cluster with SIGKILL and starts it again:
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
// kube-proxy, containerd. It returns when the API server answers.
func (c *Cluster) Kill(t testing.TB, component string) {
	t.Helper()
	c.manage(t, "restart", component)
	c.Eventually(t, patience, "the API server after "+component+" was killed", func() error {
		_, err := c.try(t.Context(), "", "get", "--raw", "/readyz")
		return err
	})
}

// KillContainer ends the processes of a container with SIGKILL, as a crash or
// a lack of memory would, and returns when the kubelet has seen it. Whether it
// is started again is the pod's restartPolicy. Container "" is the first.
func (c *Cluster) KillContainer(t testing.TB, namespace, pod, container string) {
	t.Helper()
	before := c.Signal(t, namespace, pod, container, "SIGKILL")
	c.Eventually(t, time.Minute, "the end of a container of "+pod, func() error {
		now := c.container(t, namespace, pod, container)
		if now.State.Running != nil && now.ContainerID == before.ContainerID {
			return errors.New("it still runs")
		}
		return nil
	})
}

// Signal sends a signal to the processes of a container and returns what it was
// before. SIGSTOP makes a server that takes connections and does not answer,
// until SIGCONT.
func (c *Cluster) Signal(t testing.TB, namespace, pod, container, signal string) corev1.ContainerStatus {
	t.Helper()
	before := c.container(t, namespace, pod, container)
	if before.State.Running == nil {
		t.Fatalf("container %q of pod %s/%s does not run: %+v", container, namespace, pod, before.State)
	}
	_, id, _ := strings.Cut(before.ContainerID, "://")
	c.manage(t, "ctr", "tasks", "kill", "--all", "--signal", signal, id)
	return before
}

func (c *Cluster) container(t testing.TB, namespace, pod, container string) corev1.ContainerStatus {
	t.Helper()
	var p corev1.Pod
	if err := c.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: pod}, &p); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Status.ContainerStatuses {
		if container == "" || s.Name == container {
			return s
		}
	}
	t.Fatalf("pod %s/%s has no container %q", namespace, pod, container)
	return corev1.ContainerStatus{}
}
