package controller

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// namespaceFile is where a pod finds its own namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Self is what a controller knows of itself.
type Self struct {
	Namespace  string
	Deployment string            // "" outside a Deployment
	Pod        string            // host name; unique among replicas
	Image      string            // of the controller, which fleets run too
	Pull       corev1.PullPolicy // of Image; "" leaves it to Kubernetes
}

// ofReplicaSet takes the suffixes from the name of a Deployment's pod.
var ofReplicaSet = regexp.MustCompile(`^(.+)-[a-z0-9]{5,10}-[a-z0-9]{5}$`)

// Namespace is the pod's own: POD_NAMESPACE, else what the kubelet wrote into
// the pod; "" outside a cluster.
func Namespace() string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	b, err := os.ReadFile(namespaceFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// FindSelf learns the image from the controller's own Deployment, unless one
// is given.
func FindSelf(ctx context.Context, client kubernetes.Interface, namespace, image string) (Self, error) {
	host, err := os.Hostname()
	if err != nil {
		return Self{Namespace: namespace, Image: image}, err
	}
	return findSelf(ctx, client, namespace, image, host)
}

// findSelf is FindSelf on the host of that name.
func findSelf(ctx context.Context, client kubernetes.Interface, namespace, image, host string) (Self, error) {
	s := Self{Namespace: namespace, Image: image, Pod: host}
	if m := ofReplicaSet.FindStringSubmatch(s.Pod); m != nil {
		s.Deployment = m[1]
	}
	if s.Image != "" {
		return s, nil
	}
	if s.Deployment == "" {
		return s, fmt.Errorf("which image to run in the pods of a Gateway is not known, since host name %s is not that of a Deployment's pod; say it with --image", s.Pod)
	}
	d, err := client.AppsV1().Deployments(namespace).Get(ctx, s.Deployment, metav1.GetOptions{})
	if err != nil {
		return s, fmt.Errorf("which image to run in the pods of a Gateway: %w; say it with --image", err)
	}
	c := ownContainer(d)
	s.Image, s.Pull = c.Image, c.ImagePullPolicy
	return s, nil
}

// ownContainer is the one called manager, as the reference's manifest has it,
// or else the first.
func ownContainer(d *appsv1.Deployment) *corev1.Container {
	containers := d.Spec.Template.Spec.Containers
	for i := range containers {
		if containers[i].Name == "manager" {
			return &containers[i]
		}
	}
	return &containers[0]
}
