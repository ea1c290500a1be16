package maas

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// TestConditions: what is wrong with a ConfigMap of the API's shows where the
// conditions of other objects do.
func TestConditions(t *testing.T) {
	f := func(name, key, text, want string) {
		t.Helper()
		s := &source.Snapshot{ConfigMaps: []*corev1.ConfigMap{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "opendatahub", Name: name}, Data: map[string]string{key: text}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: name}, Data: map[string]string{key: "{"}},
		}}
		got := Conditions(s, "opendatahub")
		if len(got) != 1 {
			t.Fatalf("%s: %d conditions, want one", name, len(got))
		}
		if got[0].Bad() != (want != "") || !strings.Contains(got[0].Message, want) {
			t.Errorf("%s with %q: %+v, want %q", name, text, got[0], want)
		}
	}
	f(RegistryConfigMap, "models", "- {id: a, provider: b}\n", "")
	f(RegistryConfigMap, "models", "- id: [", "no YAML list of models")
	f(TiersConfigMap, "tiers", "- {name: free}\n", "")
	f(TiersConfigMap, "tiers", "- {name: free}\n- {name: free}\n", "there twice")
	f(TiersConfigMap, "other", "", "no key")
	if got := Conditions(&source.Snapshot{}, "opendatahub"); len(got) != 0 {
		t.Errorf("without ConfigMaps: %+v", got)
	}
}
