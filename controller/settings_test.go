package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/source"
)

func TestSettings(t *testing.T) {
	secret := func(namespace, name, counters string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Data:       map[string][]byte{"counters": []byte(counters)},
		}
	}
	s := &source.Snapshot{Secrets: []*corev1.Secret{
		secret("team-a", SettingsSecret, "redis://foreign"),
		secret("egret-system", SettingsSecret, "redis://usual"),
		secret("egret-system", "own", "redis://own"),
	}}
	f := func(name string, want feed.Settings) {
		t.Helper()
		if diff := cmp.Diff(want, settingsOf(s, "egret-system", name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f(SettingsSecret, feed.Settings{Counters: "redis://usual"})
	f("own", feed.Settings{Counters: "redis://own"})
	f("missing", feed.Settings{})
}

// TestFleetOptions: what the controller was told about pods reaches them.
func TestFleetOptions(t *testing.T) {
	c := leading(t)
	c.o.PullSecrets, c.o.AssignsUser, c.o.EnvoyImage, c.o.Self.Image = []string{"registry"}, true, "envoy:1", "egret:1"
	c.take(served("egret", "front"))
	got := c.gateways["shop/front"].fleet
	want := []any{[]string{"registry"}, true, "envoy:1", "egret:1", "egret:15001"}
	if diff := cmp.Diff(want, []any{got.PullSecrets, got.AssignsUser, got.EnvoyImage, got.Image, got.XDSAddress}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
