package file

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/egret-gateway/egret/source"
)

// identify finds the kind of an object. A nil kind without problems means a
// kind that nothing here reads.
func (s *Source) identify(o object) (*kind, string, source.Problems) {
	key := o.key()
	var ps source.Problems
	for _, name := range []string{"apiVersion", "kind"} {
		if o.text(name) == "" {
			ps = append(ps, o.problem(key, name, "is missing", "say what the object is, such as apiVersion: v1, kind: Service"))
		}
	}
	if ps != nil {
		return nil, "", ps
	}
	group, version, found := strings.Cut(o.text("apiVersion"), "/")
	if !found {
		group, version = "", group
	}
	k := s.kinds[groupKind{group, key.Kind}]
	if k == nil {
		return nil, version, s.misspelt(o, group)
	}
	if slices.Contains(k.versions, version) {
		return k, version, nil
	}
	return nil, "", source.Problems{o.problem(key, "apiVersion",
		fmt.Sprintf("version %s of %s is not read", version, key.Kind),
		fmt.Sprintf("write it as %s", strings.TrimPrefix(k.group+"/"+k.versions[0], "/")))}
}

// slips are the most edits by which the name of a kind is a misspelling of
// another. InferenceService is three away from LLMInferenceService.
const slips = 2

// misspelt refuses a kind that does not exist but nearly does. An API server
// refuses every kind that it does not know. Here most kinds of a cluster are
// unknown and left out, but leaving out an "AuthPolcy" would open a route.
func (s *Source) misspelt(o object, group string) source.Problems {
	name := group + "/" + o.text("kind")
	if name == "gateway.networking.k8s.io/TCPRoute" {
		return nil // two edits from an HTTPRoute, and real
	}
	var known []string
	for id := range s.kinds {
		known = append(known, id.group+"/"+id.kind)
	}
	slices.Sort(known)
	near := nearest(name, known)
	if near == "" || edits(strings.ToLower(name), strings.ToLower(near)) > slips {
		return nil
	}
	at := "kind"
	meant, kind, _ := strings.Cut(near, "/")
	if meant != group {
		at, kind = "apiVersion", meant
	}
	return source.Problems{o.problem(o.key(), at, "there is no kind "+o.text("kind")+" in "+o.text("apiVersion"), "did you mean "+kind+"?")}
}

// admit turns an object into its Go type, the way an API server would:
// metadata, unknown fields, defaults, schema and rules.
func (s *Source) admit(ctx context.Context, o object, k *kind, version string) (metav1.Object, source.Problems) {
	key := o.key()
	if k.cluster {
		key.Namespace = ""
	} else if key.Namespace == "" {
		key.Namespace = metav1.NamespaceDefault
	}
	if ps := o.checkMetadata(k, key); ps != nil {
		return nil, ps
	}
	if !k.status {
		delete(o.value, "status")
	}
	if k.plural != "" {
		if ps := s.checkSchema(ctx, o, k, key, version); ps != nil {
			return nil, ps
		}
	}
	if !k.status {
		delete(o.value, "status") // the definition may have a default for it
	}
	obj, ps := o.decode(k, key)
	if ps != nil {
		return nil, ps
	}
	obj.SetNamespace(key.Namespace)
	if !k.status {
		// A status that is kept says which generation it saw, so there the
		// file's own number stays.
		obj.SetGeneration(max(obj.GetGeneration(), 1))
	}
	complete(obj)
	return obj, nil
}

// checkMetadata decodes and validates metadata.
func (o object) checkMetadata(k *kind, key source.Key) source.Problems {
	var meta metav1.ObjectMeta
	if ps := o.strict(o.value["metadata"], &meta, "metadata", key); ps != nil {
		return ps
	}
	if meta.Name == "" {
		do := "give the object a name"
		if meta.GenerateName != "" {
			do = "give the object a name: there is no API server here that would generate one"
		}
		return source.Problems{o.problem(key, "metadata.name", "is missing", do)}
	}
	meta.Namespace = key.Namespace
	var ps source.Problems
	for _, e := range validation.ValidateObjectMeta(&meta, !k.cluster, nameRule(k), field.NewPath("metadata")) {
		ps = append(ps, o.refusal(key, e))
	}
	return ps
}

// nameRule returns what a kind's names must look like.
func nameRule(k *kind) validation.ValidateNameFunc {
	switch {
	case k.name == "Namespace" || k.name == "Service":
		return validation.NameIsDNSLabel
	case strings.HasSuffix(k.group, "rbac.authorization.k8s.io"):
		return validation.ValidateNameFunc(func(name string, _ bool) []string { return content.IsPathSegmentName(name) })
	}
	return validation.NameIsDNSSubdomain
}

// checkSchema judges a custom resource by its definition and leaves its
// defaults in the object.
func (s *Source) checkSchema(ctx context.Context, o object, k *kind, key source.Key, version string) source.Problems {
	def, err := s.definitions.get(k.group, k.plural, version)
	if err != nil {
		return source.Problems{o.problem(key, "", err.Error(), "report this: the definition is part of Egret")}
	}
	if count(o.value, maxValues) > maxValues {
		return source.Problems{o.problem(key, "", fmt.Sprintf("has more than %d values", maxValues), "split it")}
	}
	var ps source.Problems
	for _, unknown := range few(def.prune(o.value), strings.Compare) {
		ps = append(ps, o.unknown(key, unknown, def.fields(parent(unknown))))
	}
	if ps != nil {
		return inOrder(ps) // what is missing now may be what was misspelt
	}
	def.fill(o.value)
	for _, e := range few(def.check(ctx, o.value), func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) }) {
		ps = append(ps, o.refusal(key, e))
	}
	return inOrder(ps)
}

// Bounds on one custom resource. The validators of the API machinery compare
// each error with all that they found before; an API server is spared by the
// size that its store allows.
const (
	maxValues = 8_000
	// maxProblems are told of. Who made more mistakes made one many times.
	maxProblems = 20
)

// count returns how many values v holds, itself included, and stops soon
// after most.
func count(v any, most int) int {
	n := 1
	if most < n {
		return n
	}
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			if n += count(item, most-n); n > most {
				break
			}
		}
	case []any:
		for _, item := range v {
			if n += count(item, most-n); n > most {
				break
			}
		}
	}
	return n
}

// few returns the first problems of an object, whichever order they came in.
func few[T any](found []T, compare func(a, b T) int) []T {
	slices.SortFunc(found, compare)
	return found[:min(len(found), maxProblems)]
}

// inOrder sorts the problems of one object the way they stand in the file;
// the validators find them in the random order of maps.
func inOrder(ps source.Problems) source.Problems {
	slices.SortFunc(ps, func(a, b source.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Why, b.Why))
	})
	return ps
}

// decode makes the Go object. Core kinds have no other schema than their Go
// type, so there every field must be known to it.
func (o object) decode(k *kind, key source.Key) (metav1.Object, source.Problems) {
	obj := k.empty()
	if k.plural == "" {
		return obj, o.strict(o.value, obj, "", key)
	}
	data, err := json.Marshal(o.value)
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, obj)
	}
	if err != nil {
		return nil, source.Problems{o.mismatch(key, "", o.value, err)}
	}
	return obj, nil
}

// strict decodes a value at path into a Go type that must know every field.
func (o object) strict(v any, into any, path string, key source.Key) source.Problems {
	data, err := json.Marshal(v)
	if err != nil {
		return source.Problems{o.problem(key, path, err.Error(), "")}
	}
	unknown, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return source.Problems{o.mismatch(key, path, v, err)}
	}
	var ps source.Problems
	for _, e := range unknown[:min(len(unknown), maxProblems)] {
		var at kjson.FieldError
		if !errors.As(e, &at) {
			ps = append(ps, o.problem(key, path, e.Error(), ""))
			continue
		}
		ps = append(ps, o.unknown(key, join(path, at.FieldPath()), typeFields(into, parent(at.FieldPath()))))
	}
	return ps
}

func join(path, rest string) string {
	if path == "" || rest == "" {
		return path + rest
	}
	return path + "." + rest
}

// parent cuts the last step off a path.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '.'), 0)]
}
