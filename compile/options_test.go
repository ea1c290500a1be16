package compile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// TestApart: a limit that several pods count apart says what that means.
func TestApart(t *testing.T) {
	s := decode(t, section(archiveOf(t, "testdata/policy-tokens.txtar"), "in.yaml"))
	of := func(o Options) (out []string) {
		_, cs := Compile(s, o)
		for _, c := range cs {
			if c.Kind == "TokenRateLimitPolicy" && c.Type == "Enforced" && strings.Contains(c.Message, "3 pods of Gateway "+s.Gateways[0].Namespace+"/"+s.Gateways[0].Name+" counts alone") {
				out = append(out, c.Name)
			}
		}
		return out
	}
	if got := of(Options{Alone: true}); len(got) > 0 {
		t.Errorf("one process: %v", got)
	}
	if got := of(Options{Alone: true, Apart: map[string]int{s.Gateways[0].Namespace + "/" + s.Gateways[0].Name: 3}}); len(got) == 0 {
		t.Error("three pods: no policy says so")
	}
}

func TestOptions(t *testing.T) {
	gateway := func(class string) *gwv1.Gateway {
		g := &gwv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: class}}
		g.Spec.GatewayClassName = gwv1.ObjectName(class)
		g.Spec.Listeners = []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}}
		return g
	}
	s := source.Snapshot{
		GatewayClasses: []*gwv1.GatewayClass{{
			ObjectMeta: metav1.ObjectMeta{Name: "openshift-default"},
			Spec:       gwv1.GatewayClassSpec{ControllerName: "openshift.io/gateway-controller/v1"},
		}},
		Gateways: []*gwv1.Gateway{gateway("egret"), gateway("openshift-default"), gateway("typo"), gateway("wg-ai-gateway")},
	}
	served := func(o Options) (names []string) {
		p, _ := Compile(s, o)
		for _, port := range p.Ports {
			names = append(names, port.Gateway)
		}
		return names
	}
	f := func(o Options, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, served(o)); diff != "" {
			t.Errorf("%+v: -want +got\n%s", o, diff)
		}
	}
	t.Run("gateway-30 gateway-31 controllers select classes, names adopt more", func(t *testing.T) {
		f(Options{}, "default/egret", "default/wg-ai-gateway")
		f(Options{Controllers: []string{source.ControllerWG}}, "default/wg-ai-gateway")
		f(Options{Controllers: []string{source.ControllerWG}, Classes: []string{"openshift-default"}}, "default/openshift-default", "default/wg-ai-gateway")
	})
	t.Run("gateway-31 a class that nobody has is mentioned where nobody else reads", func(t *testing.T) {
		about := func(o Options) (names []string) {
			_, cs := Compile(s, o)
			for _, c := range cs {
				names = append(names, c.Name)
			}
			slices.Sort(names)
			return slices.Compact(names)
		}
		if diff := cmp.Diff([]string{"egret", "typo", "wg-ai-gateway"}, about(Options{Alone: true})); diff != "" {
			t.Errorf("alone: -want +got\n%s", diff)
		}
		if diff := cmp.Diff([]string{"egret", "wg-ai-gateway"}, about(Options{})); diff != "" {
			t.Errorf("among others: -want +got\n%s", diff)
		}
	})
}
