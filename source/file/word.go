package file

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

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
		why, do = wrongType(why)
	case field.ErrorTypeDuplicate:
		why, do = "is there twice: "+show(e.BadValue), "remove one of the two"
	case field.ErrorTypeNotSupported:
		why, do = show(e.BadValue)+" is not allowed", "use "+strings.TrimPrefix(why, "supported values: ")
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		do = "shorten it"
	case field.ErrorTypeInvalid:
		// Names are refused with the whole grammar of names.
		why, _, _ = strings.Cut(why, " (e.g. ")
		if strings.HasPrefix(why, "should ") && !strings.HasPrefix(why, "should have ") {
			why = show(e.BadValue) + " " + why
		}
		if strings.Contains(why, "(h|m|s|ms)") {
			do = "use hours, minutes, seconds and milliseconds, such as 24h or 1m30s"
		}
	}
	return o.problem(key, path, why, do)
}

func lastStep(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// wrongType words `must be of type integer: "string"`.
func wrongType(detail string) (why, do string) {
	want, given, _ := strings.Cut(strings.TrimPrefix(detail, "must be of type "), ": ")
	return exchange(articles[want], articles[strings.Trim(given, `"`)])
}

// exchange says what to write instead of a value of the wrong type.
func exchange(want, given string) (why, do string) {
	do = "correct the value"
	switch {
	case want == "a string" && (given == "a boolean" || given == "an integer" || given == "a number"):
		do = "put it in quotes"
	case want == "a list" && given != "nothing":
		do = "start it with a dash"
	case want == "an integer" && given == "a string":
		do = "write a number without quotes"
	}
	return "must be " + want + ", not " + given, do
}

// articles are the names of JSON types for people.
var articles = map[string]string{
	"integer": "an integer", "number": "a number", "string": "a string", "bool": "a boolean",
	"boolean": "a boolean", "array": "a list", "object": "an object", "null": "nothing",
}

// mismatch words an error of decoding the value at path into a Go type. The
// decoder says neither the position in a list nor the key in a map, so the
// culprit is looked for in the value itself.
func (o object) mismatch(key source.Key, path string, v any, err error) source.Problem {
	var wrong *json.UnmarshalTypeError
	var encoding base64.CorruptInputError
	switch {
	case errors.As(err, &encoding):
		at, _ := culprit(v, nil, path, func(v any) bool {
			text, ok := v.(string)
			_, err := base64.StdEncoding.DecodeString(text)
			return ok && err != nil
		}, "data", "binaryData")
		return o.problem(key, at, "is not base64", "encode it, or write the plain text under stringData")
	case errors.As(err, &wrong):
		given, _, _ := strings.Cut(wrong.Value, " ")
		given = articles[given]
		at, found := culprit(v, steps(wrong.Field), path, func(v any) bool {
			d := describe(v)
			return d == given || given == "a number" && d == "an integer"
		})
		if !found {
			at = join(path, wrong.Field)
		}
		why, do := exchange(typeWord(wrong.Type), given)
		return o.problem(key, at, why, do)
	}
	return o.problem(key, path, strings.TrimPrefix(err.Error(), "json: "), "correct the value")
}

// culprit returns the path of the first value that is bad, below v along the
// given steps. Lists, map keys and Go's embedded structs are no steps. Where
// only is given, the search is confined to these keys at the top.
func culprit(v any, steps []string, path string, bad func(any) bool, only ...string) (string, bool) {
	if len(steps) == 0 && len(only) == 0 && bad(v) {
		return path, true
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if at, ok := culprit(item, steps, fmt.Sprintf("%s[%d]", path, i), bad); ok {
				return at, true
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if len(only) > 0 && !slices.Contains(only, k) {
				continue
			}
			rest := steps
			if len(steps) > 0 && steps[0] == k {
				rest = steps[1:]
			}
			if at, ok := culprit(v[k], rest, join(path, k), bad); ok {
				return at, true
			}
		}
		if len(steps) > 0 && strings.ToUpper(steps[0][:1]) == steps[0][:1] {
			return culprit(v, steps[1:], path, bad)
		}
	}
	return "", false
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
	if near := nearest(lastStep(path), known); near == lastStep(path) {
		do = lastStep(parent(path)) + " is a list: start each of its entries with a dash"
	} else if near != "" {
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
