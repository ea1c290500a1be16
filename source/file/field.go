package file

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// steps splits a path into keys, without list positions.
func steps(path string) []string {
	var keys []string
	for part := range strings.SplitSeq(path, ".") {
		name, _, _ := strings.Cut(part, "[")
		if name != "" {
			keys = append(keys, name)
		}
	}
	return keys
}

// fields returns the names the schema knows at path, sorted; none where the
// path leads through something that has no fixed fields.
func (d *definition) fields(path string) []string {
	at := d.structural
	for _, key := range steps(path) {
		next, ok := at.Properties[key]
		switch {
		case ok:
			at = &next
		case at.AdditionalProperties != nil && at.AdditionalProperties.Structural != nil:
			at = at.AdditionalProperties.Structural
		default:
			return nil
		}
		for at.Items != nil {
			at = at.Items
		}
	}
	return slices.Sorted(maps.Keys(at.Properties))
}

// typeFields returns the JSON names of the fields of v's type at path, sorted.
func typeFields(v any, path string) []string {
	t := element(reflect.TypeOf(v))
	for _, key := range steps(path) {
		if t.Kind() == reflect.Map {
			t = element(t.Elem())
			continue
		}
		f, ok := jsonFields(t)[key]
		if !ok {
			return nil
		}
		t = element(f)
	}
	return slices.Sorted(maps.Keys(jsonFields(t)))
}

// element strips pointers and slices.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return fields
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			maps.Copy(fields, jsonFields(element(f.Type)))
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}
