package crds

import (
	"io/fs"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"sigs.k8s.io/yaml"
)

// TestDefinitions holds every published definition to what an API server asks
// of one: no unknown field, a structural schema, and defaults that are valid.
func TestDefinitions(t *testing.T) {
	files, err := fs.Glob(FS, "*.yaml")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d definitions: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			data, err := FS.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var crd apiextensionsv1.CustomResourceDefinition
			if err := yaml.UnmarshalStrict(data, &crd); err != nil {
				t.Fatal(err)
			}
			if want := crd.Spec.Group + "_" + crd.Spec.Names.Plural + ".yaml"; name != want {
				t.Errorf("the file should be called %s", want)
			}
			checkSchema(t, crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
		})
	}
}

func checkSchema(t *testing.T, external *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(external, &props, nil); err != nil {
		t.Fatal(err)
	}
	s, err := schema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range schema.ValidateStructural(nil, s) {
		t.Error(e)
	}
	errs, err := defaulting.ValidateDefaults(t.Context(), nil, s, true, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range errs {
		t.Error(e)
	}
}

// TestGatewayAPI finds every kind that the sources read, with no description left.
func TestGatewayAPI(t *testing.T) {
	for _, plural := range []string{"backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants"} {
		data, err := JSON(gatewayAPI, plural)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			t.Fatal(err)
		}
		if got := crd.Annotations["gateway.networking.k8s.io/bundle-version"]; got != "v1.6.3" {
			t.Errorf("%s is of version %s", plural, got)
		}
		if d := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Description; d != "" {
			t.Errorf("%s is described: %s", plural, d)
		}
	}
	if _, err := JSON(gatewayXAPI, "xbackends"); err != nil {
		t.Error(err)
	}
	if _, err := JSON(gatewayAPI, "udproutes"); err == nil {
		t.Error("UDPRoute is there and nothing reads it")
	}
}
