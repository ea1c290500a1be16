//go:build cluster

package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/egret-gateway/egret/source"
)

func testSelf(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	client, err := kubernetes.NewForConfig(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	w.do("POST", "/apis/apps/v1/namespaces/"+w.ns+"/deployments", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ai-gateway-controller}, spec: {selector: {matchLabels: {a: b}}, `+
		`template: {metadata: {labels: {a: b}}, spec: {containers: [{name: sidecar, image: 'other:1'}, {name: manager, image: 'egret:7', imagePullPolicy: Never}]}}}}`)
	f := func(name, image, host string, want Self, refusal string) {
		t.Run(name, func(t *testing.T) {
			want.Namespace, want.Pod = w.ns, host
			got, err := findSelf(t.Context(), client, w.ns, image, host)
			if refusal != "" {
				if err == nil || !strings.Contains(err.Error(), refusal) || !strings.Contains(err.Error(), "--image") {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got): %s", diff)
			}
		})
	}
	const pod = "ai-gateway-controller-7d9c5b8f6d-x2x9q"
	f("the image is that of the container manager of the Deployment", "", pod, Self{Deployment: "ai-gateway-controller", Image: "egret:7", Pull: corev1.PullNever}, "")
	f("one that is given is not looked for", "egret:8", "laptop", Self{Image: "egret:8"}, "")
	f("and tells the Deployment all the same", "egret:8", pod, Self{Deployment: "ai-gateway-controller", Image: "egret:8"}, "")
	f("outside a Deployment it has to be given", "", "laptop", Self{}, "laptop")
	f("and where the Deployment is not there", "", "gone-7d9c5b8f6d-x2x9q", Self{}, "gone")
}
