package chart

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/yaml"
)

const dir = "../../charts/egret"

// object is one object of a manifest.
type object map[string]any

// at is the value at a path of maps, nil when there is none.
func (o object) at(keys ...string) any {
	var v any = map[string]any(o)
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// text is the string at a path, empty when there is none.
func (o object) text(keys ...string) string {
	s, _ := o.at(keys...).(string)
	return s
}

// name is the kind, namespace and name of the object.
func (o object) name() string {
	return o.text("kind") + " " + path.Join(o.text("metadata", "namespace"), o.text("metadata", "name"))
}

// TestMain keeps Helm from noting, at each load, that crds are links.
func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	os.Exit(m.Run())
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render is what helm template prints, by file; values are YAML.
func render(t *testing.T, values, namespace string) (map[string]string, error) {
	t.Helper()
	v, err := common.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "egret", Namespace: namespace, Revision: 1, IsInstall: true}
	c := load(t)
	all, err := util.ToRenderValues(c, v, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// objects are those of a render, by name.
func objects(t *testing.T, values, namespace string) map[string]object {
	t.Helper()
	files, err := render(t, values, namespace)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]object{}
	for name, text := range files {
		if path.Ext(name) == ".yaml" {
			read(t, name, []byte(text), out)
		}
	}
	return out
}

// read adds the objects of a file to those known. An object that is there
// twice, or a key that is twice in an object, is an error.
func read(t *testing.T, name string, data []byte, into map[string]object) {
	t.Helper()
	documents := kio.ByteReader{Reader: bytes.NewReader(data), OmitReaderAnnotations: true}
	nodes, err := documents.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v\n%s", name, err, data)
	}
	for _, node := range nodes {
		var o object
		if err := yaml.UnmarshalStrict([]byte(node.MustString()), &o); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, node.MustString())
		}
		if _, twice := into[o.name()]; twice {
			t.Errorf("%s: %s is there twice", name, o.name())
		}
		into[o.name()] = o
	}
}

func notes(t *testing.T, values string) string {
	t.Helper()
	files, err := render(t, values, "egret-system")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			return text
		}
	}
	t.Fatal("no NOTES.txt")
	return ""
}
