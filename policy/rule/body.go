package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/tidwall/gjson"
)

// bodyType is the CEL type of a body; only pointerFunc takes it.
var bodyType = cel.OpaqueType("body")

// body is a request's or a response's body under RFC 6901 pointers. It is
// checked once to be JSON and then searched in place.
type body struct {
	mu    sync.Mutex
	which string
	raw   []byte
	known bool
	err   error
}

var _ ref.Val = (*body)(nil)

// of turns the body to what the Input holds now.
func (b *body) of(which string, raw []byte) *body {
	b.mu.Lock()
	defer b.mu.Unlock()
	same := len(raw) == len(b.raw) && (len(raw) == 0 || &raw[0] == &b.raw[0])
	if !b.known || !same || (raw == nil) != (b.raw == nil) {
		b.which, b.raw, b.known, b.err = which, raw, true, check(which, raw)
	}
	return b
}

// check says what is wrong with a body that should be JSON. encoding/json
// bounds the depth, which gjson does not.
func check(which string, raw []byte) error {
	switch {
	case raw == nil:
		return fmt.Errorf("the %s body has not been read yet", which)
	case !json.Valid(raw):
		return fmt.Errorf("the %s body is not JSON", which)
	}
	return nil
}

// at returns what an RFC 6901 pointer points to, null when nothing is there.
func (b *body) at(pointer string) ref.Val {
	b.mu.Lock()
	raw, err := b.raw, b.err
	b.mu.Unlock()
	if err != nil {
		return types.WrapErr(err)
	}
	found, err := point(raw, pointer)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(native(found))
}

// unescape undoes the escapes of an RFC 6901 token.
var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// point follows an RFC 6901 pointer. Of keys that occur twice the last counts,
// as with encoding/json.
func point(raw []byte, pointer string) (gjson.Result, error) {
	at := gjson.ParseBytes(raw)
	if pointer == "" {
		return at, nil
	}
	if pointer[0] != '/' {
		return gjson.Result{}, fmt.Errorf("JSON pointer %q: does not begin with a slash", brief(pointer))
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		at = child(at, unescape.Replace(token))
	}
	return at, nil
}

// child returns one member of an object or element of an array.
func child(at gjson.Result, token string) (found gjson.Result) {
	switch {
	case at.IsObject():
		at.ForEach(func(k, v gjson.Result) bool {
			if k.Str == token {
				found = v
			}
			return true
		})
	case at.IsArray():
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 || strconv.Itoa(n) != token {
			return found
		}
		at.ForEach(func(_, v gjson.Result) bool {
			if n == 0 {
				found = v
			}
			n--
			return n >= 0
		})
	}
	return found
}

// native converts JSON to plain Go; integers stay integers. What does not
// exist is nil.
func native(r gjson.Result) any {
	switch r.Type {
	case gjson.String:
		return r.Str
	case gjson.True:
		return true
	case gjson.False:
		return false
	case gjson.Number:
		return number(json.Number(r.Raw))
	case gjson.JSON:
		d := json.NewDecoder(bytes.NewReader([]byte(r.Raw)))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil
		}
		return numbers(v)
	}
	return nil
}

// number is an int64 when the literal is an integer that fits, else a float64.
func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64()
	return f
}

// numbers replaces json.Number throughout a decoded value.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// ConvertToNative implements ref.Val.
func (b *body) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a body is not a %v", t)
}

// ConvertToType implements ref.Val.
func (b *body) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a body is not a %s", t.TypeName())
}

// Equal implements ref.Val.
func (b *body) Equal(other ref.Val) ref.Val { return types.Bool(b == other) }

// Type implements ref.Val.
func (b *body) Type() ref.Type { return bodyType }

// Value implements ref.Val.
func (b *body) Value() any { return b }
