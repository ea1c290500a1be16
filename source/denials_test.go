package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/egret-gateway/egret/source"
)

func TestDenials(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := func(name, text string, want ...source.Denial) {
		t.Run(name, func(t *testing.T) {
			got, version := source.Denials(&corev1.ConfigMap{Data: map[string]string{"denials": text}})
			if diff := cmp.Diff(want, got); diff != "" || len(version) != 16 {
				t.Errorf("version %q, denials (-want +got):\n%s", version, diff)
			}
		})
	}
	f("nothing", "")
	f("a token and an identity", "jti:a 2026-03-01T12:00:00Z\nuid:b 2026-03-01T12:00:00Z\n",
		source.Denial{Subject: "jti:a", Until: noon}, source.Denial{Subject: "uid:b", Until: noon})
	f("blank lines and no line break at the end", "\n  \njti:a 2026-03-01T12:00:00Z", source.Denial{Subject: "jti:a", Until: noon})
	forever := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	f("a denial without an end lasts", "uid:b", source.Denial{Subject: "uid:b", Until: forever})
	f("a denial whose end cannot be read lasts", "uid:b tomorrow\njti:a 2026-03-01T12:00:00Z",
		source.Denial{Subject: "uid:b", Until: forever}, source.Denial{Subject: "jti:a", Until: noon})
}

func TestSetDenials(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var m corev1.ConfigMap
	_, empty := source.Denials(&m)
	source.SetDenials(&m, map[string]time.Time{"uid:b": noon.Add(time.Millisecond), "jti:a": noon})
	list, version := source.Denials(&m)
	want := []source.Denial{{Subject: "jti:a", Until: noon}, {Subject: "uid:b", Until: noon.Add(time.Second)}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("sorted, and never shorter than asked (-want +got):\n%s", diff)
	}
	if version == empty {
		t.Error("the version does not change with the list")
	}
	if got := source.Delivered(&m); len(got) != 0 {
		t.Errorf("nobody has delivered it, and yet %v", got)
	}
}

func TestDeliveredAnnotation(t *testing.T) {
	seen := map[string]string{}
	for _, controller := range []string{
		source.ControllerWG, source.ControllerEgret, "example.com/" + strings.Repeat("x", 80), "example.com/" + strings.Repeat("x", 80) + "y",
	} {
		name := source.DeliveredAnnotation(controller)
		if wrong := validation.IsQualifiedName(name); len(wrong) > 0 || seen[name] != "" {
			t.Errorf("%s: %s: %v, also that of %q", controller, name, wrong, seen[name])
		}
		seen[name] = controller
		m := &corev1.ConfigMap{}
		m.Annotations = map[string]string{name: "v", "other": "w"}
		if got := source.Delivered(m); len(got) != 1 || got[strings.TrimPrefix(name, "egret.dev/delivered-")] != "v" {
			t.Errorf("%s: delivered is %v", controller, got)
		}
	}
}
