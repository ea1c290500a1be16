package rule

import (
	"net/textproto"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// headers is request.headers: a CEL map over the request's own header, which
// is searched and not copied.
type headers Input

var _ traits.Mapper = (*headers)(nil)

// lookup returns the value of a lower-case name. A name in upper case is not
// there: expressions see lower-case names only.
func (r *Request) lookup(name string) (string, bool) {
	if strings.ToLower(name) != name {
		return "", false
	}
	if name == "host" && r.Host != "" {
		return r.Host, true
	}
	v, ok := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if !ok || len(v) == 0 {
		return "", false
	}
	if len(v) == 1 {
		return v[0], true
	}
	return strings.Join(v, ","), true
}

// header returns the value of a lower-case name, or "".
func (r *Request) header(name string) string {
	v, _ := r.lookup(name)
	return v
}

// names returns the lower-case names in order.
func (r *Request) names() []string {
	names := make([]string, 0, len(r.Header)+1)
	for name := range r.Header {
		names = append(names, strings.ToLower(name))
	}
	if r.Host != "" && !slices.Contains(names, "host") {
		names = append(names, "host")
	}
	slices.Sort(names)
	return names
}

// plain copies the headers into a map of lower-case names.
func (h *headers) plain() map[string]string {
	r := &h.Request
	m := make(map[string]string, len(r.Header)+1)
	for _, name := range r.names() {
		m[name] = r.header(name)
	}
	return m
}

// mapper copies the headers into CEL's own map.
func (h *headers) mapper() traits.Mapper {
	return types.NewStringStringMap(types.DefaultTypeAdapter, h.plain())
}

// Find implements traits.Mapper.
func (h *headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	v, ok := h.Request.lookup(string(name))
	if !ok {
		return nil, false
	}
	return types.String(v), true
}

// Get implements traits.Indexer.
func (h *headers) Get(key ref.Val) ref.Val {
	if v, ok := h.Find(key); ok || v != nil {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (h *headers) Contains(key ref.Val) ref.Val {
	_, ok := h.Find(key)
	return types.Bool(ok)
}

// Size implements traits.Sizer.
func (h *headers) Size() ref.Val { return types.Int(len(h.Request.names())) }

// Iterator implements traits.Iterable.
func (h *headers) Iterator() traits.Iterator { return h.mapper().Iterator() }

// ConvertToNative implements ref.Val.
func (h *headers) ConvertToNative(t reflect.Type) (any, error) { return h.mapper().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (h *headers) ConvertToType(t ref.Type) ref.Val { return h.mapper().ConvertToType(t) }

// Equal implements ref.Val.
func (h *headers) Equal(other ref.Val) ref.Val { return h.mapper().Equal(other) }

// Type implements ref.Val.
func (h *headers) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (h *headers) Value() any { return h.plain() }

// MarshalJSON implements json.Marshaler.
func (h *headers) MarshalJSON() ([]byte, error) { return marshal(h.plain()) }
