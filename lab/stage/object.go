//go:build cluster

package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What follows does without kubectl, for tests that touch many objects.

// Put applies YAML documents server-side; those that name no namespace are in
// the one given. What they make outside a namespace of the test stays.
func (s *Stage) Put(t testing.TB, namespace, text string) {
	t.Helper()
	if err := s.Send(namespace, text); err != nil {
		t.Fatal(err)
	}
}

// Send is Put with the API server's first refusal as an error.
func (s *Stage) Send(namespace, text string) error {
	objects, err := Objects(namespace, text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		err := s.Client().Apply(context.Background(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
		}
	}
	return nil
}

// unscoped are the kinds without a namespace that tests make.
var unscoped = map[string]bool{"GatewayClass": true, "Namespace": true, "CustomResourceDefinition": true}

// Objects reads YAML documents.
func Objects(namespace, text string) (out []*unstructured.Unstructured, err error) {
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := d.Decode(&o.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		if len(o.Object) == 0 {
			continue
		}
		if o.GetNamespace() == "" && !unscoped[o.GetKind()] {
			o.SetNamespace(namespace)
		}
		out = append(out, o)
	}
}

// Object reads an object; kind is as kubectl has it in the plural, such as
// "httproutes". An object that is not there is nil.
func (s *Stage) Object(t testing.TB, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := s.Find(kind, namespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return o
}

// Find is Object with an error.
func (s *Stage) Find(kind, namespace, name string) (*unstructured.Unstructured, error) {
	gvk, err := s.Client().RESTMapper().KindFor(schema.GroupVersionResource{Resource: kind})
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	if err := s.Client().Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		return nil, fmt.Errorf("%s %s/%s: %w", kind, namespace, name, err)
	}
	return o, nil
}

// Delete deletes an object, whether it is there or not.
func (s *Stage) Delete(t testing.TB, kind, namespace, name string) {
	t.Helper()
	gvk, err := s.Client().RESTMapper().KindFor(schema.GroupVersionResource{Resource: kind})
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(namespace)
	o.SetName(name)
	if err := client.IgnoreNotFound(s.Client().Delete(context.Background(), o)); err != nil && !meta.IsNoMatchError(err) {
		t.Fatal(err)
	}
}
