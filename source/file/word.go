package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/egret-gateway/egret/source"
)

// refusal words an error of the API machinery for people.
func (o object) refusal(key source.Key, e *field.Error) source.Problem {
	path := strings.TrimPrefix(e.Field, "<nil>")
	why, do := e.Detail, "correct the value"
	// The OpenAPI validator repeats the path in front of what it says.
	if _, after, found := strings.Cut(why, " in body "); found {
		why = after
	}
	switch e.Type {
	case field.ErrorTypeRequired:
		why, do = "is missing", "add it"
	case field.ErrorTypeTypeInvalid:
		why, do = wrongType(why, e.BadValue)
	case field.ErrorTypeDuplicate:
		why, do = "is there twice: "+show(e.BadValue), "remove one of the two"
	case field.ErrorTypeNotSupported:
		why, do = show(e.BadValue)+" is not allowed", "use "+strings.TrimPrefix(why, "supported values: ")
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		do = "shorten it"
	case field.ErrorTypeInvalid:
		if strings.HasPrefix(why, "should ") {
			why = show(e.BadValue) + " " + why
		}
	}
	if hint := hints[lastStep(path)]; hint != "" && e.Type == field.ErrorTypeInvalid {
		do = hint
	}
	return o.problem(key, path, why, do)
}

// hints say what a value should look like where a pattern says it badly.
var hints = map[string]string{
	"window": "use hours, minutes, seconds and milliseconds, such as 24h or 1m30s",
	"ttl":    "use hours, minutes, seconds and milliseconds, such as 5m or 1m30s",
}

func lastStep(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// wrongType words `must be of type integer: "string"`.
func wrongType(detail string, value any) (why, do string) {
	want := strings.TrimPrefix(detail, "must be of type ")
	want, _, _ = strings.Cut(want, ":")
	if known, ok := articles[want]; ok {
		want = known
	}
	return fmt.Sprintf("must be %s, not %s", want, describe(value)), "correct the value"
}

var articles = map[string]string{
	"integer": "an integer", "number": "a number", "string": "a string",
	"boolean": "a boolean", "array": "a list", "object": "an object",
}

// mismatch words an error of decoding into a Go type.
func (o object) mismatch(key source.Key, path string, err error) source.Problem {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return o.problem(key, path, strings.TrimPrefix(err.Error(), "json: "), "correct the value")
	}
	given, _, _ := strings.Cut(wrong.Value, " ")
	if known, ok := articles[strings.Replace(given, "bool", "boolean", 1)]; ok {
		given = known
	}
	return o.problem(key, join(path, wrong.Field), fmt.Sprintf("must be %s, not %s", typeWord(wrong.Type), given), "correct the value")
}

func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint16:
		return "an integer"
	}
	return "a " + t.String()
}

// unknown words an unknown field, naming the nearest field there is.
func (o object) unknown(key source.Key, path string, known []string) source.Problem {
	do := "remove it"
	if near := nearest(lastStep(path), known); near != "" {
		do = fmt.Sprintf("did you mean %s?", near)
	} else if len(known) > 0 && len(known) <= 12 {
		do = "remove it; known here: " + strings.Join(known, ", ")
	}
	return o.problem(key, path, "is not a known field", do)
}

// show prints a value short enough for one line.
func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(data) > 60 {
		data = append(data[:60:60], "…"...)
	}
	return string(data)
}

// nearest returns the known name with the fewest edits to name, "" when even
// that one is too far off to be meant.
func nearest(name string, known []string) string {
	best, least := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// edits is the number of insertions, deletions, substitutions and swaps of
// neighbours that turn a into b.
func edits(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

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
	return sortedKeys(at.Properties)
}

func sortedKeys(m map[string]schema.Structural) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
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
	names := make([]string, 0, t.NumMethod())
	for name := range jsonFields(t) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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
			for n, ft := range jsonFields(element(f.Type)) {
				fields[n] = ft
			}
		case name != "" && name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}
