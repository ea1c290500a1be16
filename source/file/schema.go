package file

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/egret-gateway/egret/manifests/crds"
)

// definition is one version of a CustomResourceDefinition, ready to judge
// objects as an API server with that definition would.
type definition struct {
	structural *schema.Structural
	values     validation.SchemaCreateValidator
	// rules compiles the CEL rules when the first object needs them, which is
	// by far the dearest part.
	rules func() *cel.Validator
}

// definitions holds what was compiled so far, per group, plural and version.
// It lives as long as the Source, so that a reload compiles nothing anew.
type definitions struct {
	mu   sync.Mutex
	byID map[string]func() (*definition, error)
}

// get returns the definition, compiled at most once however many ask for it.
func (d *definitions) get(group, plural, version string) (*definition, error) {
	id := group + "/" + plural + "/" + version
	d.mu.Lock()
	compile, ok := d.byID[id]
	if !ok {
		if d.byID == nil {
			d.byID = map[string]func() (*definition, error){}
		}
		compile = sync.OnceValues(func() (*definition, error) { return newDefinition(group, plural, version) })
		d.byID[id] = compile
	}
	d.mu.Unlock()
	return compile()
}

func newDefinition(group, plural, version string) (*definition, error) {
	props, err := readSchema(group, plural, version)
	if err != nil {
		return nil, fmt.Errorf("definition of %s.%s: %w", plural, group, err)
	}
	structural, err := schema.NewStructural(props)
	if err != nil {
		return nil, fmt.Errorf("definition of %s.%s: %w", plural, group, err)
	}
	values, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, fmt.Errorf("definition of %s.%s: %w", plural, group, err)
	}
	return &definition{
		structural: structural,
		values:     values,
		rules: sync.OnceValue(func() *cel.Validator {
			return cel.NewValidator(structural, true, celconfig.PerCallLimit)
		}),
	}, nil
}

// readSchema returns the schema of one version in the form that the API
// server's validation works on.
func readSchema(group, plural, version string) (*apiextensions.JSONSchemaProps, error) {
	data, err := crds.JSON(group, plural)
	if err != nil {
		return nil, err
	}
	// The schemas of the other versions stay undecoded.
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(data, &crd); err != nil {
		return nil, err
	}
	for _, v := range crd.Spec.Versions {
		if v.Name != version {
			continue
		}
		var external apiextensionsv1.JSONSchemaProps
		if err := json.Unmarshal(v.Schema.OpenAPIV3Schema, &external); err != nil {
			return nil, err
		}
		var props apiextensions.JSONSchemaProps
		return &props, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&external, &props, nil)
	}
	return nil, fmt.Errorf("has no version %s", version)
}

// prune removes the fields the schema does not know and returns their paths.
func (d *definition) prune(obj map[string]any) []string {
	return pruning.PruneWithOptions(obj, d.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

// fill sets defaults, after removing nulls where null is no value, in the
// order in which an API server does.
func (d *definition) fill(obj map[string]any) {
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, d.structural)
	defaulting.Default(obj, d.structural)
}

// check validates values, list keys and, when those are in order, CEL rules.
// Rules that compare with an older object do not apply: a file has none.
func (d *definition) check(ctx context.Context, obj map[string]any) field.ErrorList {
	errs := validation.ValidateCustomResource(nil, obj, d.values)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.structural, obj)...)
	if len(errs) > 0 {
		return errs
	}
	errs, _ = d.rules().Validate(ctx, nil, d.structural, obj, nil, celconfig.RuntimeCELCostBudget)
	return errs
}
