package controller

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/source"
)

func operators(namespace, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: source.EgressConfigMap},
		Data:       map[string]string{source.EgressKey: text},
	}
}

// TestEgressRules: what cannot be read changes nothing of what runs, and pods
// do not roll when the cluster's ranges change.
func TestEgressRules(t *testing.T) {
	c := leading(t)
	s := served("egret", "front")
	with := func(m *corev1.ConfigMap) *Controller {
		s.ConfigMaps = []*corev1.ConfigMap{m}
		c.take(s)
		return c
	}
	digest := func() string { return c.gateways["shop/front"].fleet.Env["EGRET_SETTINGS"] }
	accepted := func() string {
		for _, at := range c.conditions {
			if at.Kind == "ConfigMap" {
				return string(at.Status) + " " + at.Message
			}
		}
		return ""
	}

	with(operators("egret-system", "namespace: []"))
	if g := c.gateways["shop/front"]; g != nil || c.frozen["shop/front"] == nil || c.frozen["shop/front"].reason != reasonEgressUnread {
		t.Errorf("rules that cannot be read, and none before: %v is served", g)
	}
	with(operators("team-a", "cluster: {pods: [10.244.0.0/16]}"))
	if c.settings.Refuse != nil || c.gateways["shop/front"] == nil {
		t.Errorf("rules of another namespace count: %v", c.settings.Refuse)
	}
	was := digest()
	with(operators("egret-system", "cluster: {pods: [10.244.0.0/16], services: [10.96.0.0/12], nodes: [192.0.2.0/24], allow: [192.0.2.7/32]}"))
	if diff := cmp.Diff(feed.Settings{
		MaaS: "/maas-api", Refuse: []string{"10.244.0.0/16", "10.96.0.0/12", "192.0.2.0/24"}, Allow: []string{"192.0.2.7/32"},
	}, c.settings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.ranged([]string{"10.0.0.0/24", "10.96.0.0/12"})
	if diff := cmp.Diff([]string{"10.0.0.0/24", "10.244.0.0/16", "10.96.0.0/12", "192.0.2.0/24"}, c.settings.Refuse); diff != "" {
		t.Errorf("what was found adds up (-want +got):\n%s", diff)
	}
	set := c.gateways["shop/front"].set
	c.ranged([]string{"10.0.0.0/24", "10.96.0.0/12"})
	if c.gateways["shop/front"].set != set {
		t.Error("the same ranges are told again")
	}
	c.ranged(nil)
	if c.gateways["shop/front"].set == set {
		t.Error("pods are not told of new ranges")
	}
	if digest() != was {
		t.Error("pods roll with the cluster's ranges")
	}
	with(operators("egret-system", "cluster: {pods: [10.244.0.0]}"))
	if got := accepted(); !strings.HasPrefix(got, "False") || !strings.Contains(got, "the rules of before are in force") || len(c.settings.Refuse) != 3 || c.frozen["shop/front"] != nil {
		t.Errorf("after good ones: %q, refused %v", got, c.settings.Refuse)
	}
	s.ConfigMaps = nil
	c.take(s)
	if len(c.settings.Refuse) != 0 {
		t.Errorf("rules that are gone refuse %v", c.settings.Refuse)
	}
}

// lister lists nodes in pages of one, or refuses to.
type lister struct {
	client.Reader
	nodes    []corev1.Node
	services []string
	refuse   error
}

func (l *lister) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	if l.refuse != nil {
		return l.refuse
	}
	switch into := into.(type) {
	case *networkingv1.ServiceCIDRList:
		into.Items = []networkingv1.ServiceCIDR{{Spec: networkingv1.ServiceCIDRSpec{CIDRs: l.services}}}
	case *corev1.NodeList:
		o := (&client.ListOptions{}).ApplyOptions(opts)
		at := len(o.Continue)
		into.Items = l.nodes[at : at+1]
		if at+1 < len(l.nodes) {
			into.Continue = strings.Repeat("x", at+1)
		}
	default:
		return errors.New("not a kind that is read")
	}
	return nil
}

func TestRanges(t *testing.T) {
	node := func(pods, address string) corev1.Node {
		return corev1.Node{Spec: corev1.NodeSpec{PodCIDR: pods, PodCIDRs: []string{pods}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: address}, {Type: corev1.NodeHostName, Address: "node"},
		}}}
	}
	l := &lister{services: []string{"10.96.0.0/12", "fd00:96::/108"}, nodes: []corev1.Node{node("10.244.0.0/24", "192.0.2.4"), node("10.244.1.0/24", "192.0.2.5"), node("10.244.3.0/24", "192.0.2.9")}}
	r := newRanges(l, slog.New(slog.DiscardHandler))
	want := []string{"10.96.0.0/12", "10.244.0.0/23", "10.244.3.0/24", "192.0.2.4/31", "192.0.2.9/32", "fd00:96::/108"}
	if diff := cmp.Diff(want, r.look(t.Context())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var log strings.Builder
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	l.refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no"))
	for range 3 {
		if diff := cmp.Diff(want, r.look(t.Context())); diff != "" {
			t.Errorf("what was known is forgotten (-want +got):\n%s", diff)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("of two kinds it is said %d times that they cannot be read:\n%s", n, &log)
	}
}

func TestCollapse(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var ps []netip.Prefix
		for text := range strings.FieldsSeq(in) {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		got := ""
		for _, p := range collapse(ps) {
			got += " " + p.String()
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	f("", "")
	f("10.0.1.0/24 10.0.0.0/24 10.0.2.0/24 10.0.3.0/24", "10.0.0.0/22")
	f("10.0.1.0/24 10.0.2.0/24", "10.0.1.0/24 10.0.2.0/24")
	f("10.0.0.0/8 10.1.0.0/16 10.0.0.0/8 11.0.0.0/8", "10.0.0.0/7")
	f("0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1", "0.0.0.0/0 ::/0")
}
