package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/tidwall/gjson"
)

// Text is how a value becomes a header or a counter key: strings as they are,
// nothing for nil, numbers without an exponent when integral, everything else
// as compact JSON.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return decimal(v)
	}
	b, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// decimal writes integral numbers without exponent, up to where float64 stops
// being exact.
func decimal(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// plain converts a CEL value to plain Go.
func plain(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Double:
		return float64(v), nil
	case types.Null:
		return nil, nil
	case types.Uint:
		if uint64(v) <= math.MaxInt64 {
			return int64(v), nil
		}
		return float64(v), nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return plain(v.GetValue())
	case types.Bytes, types.Timestamp, types.Duration:
		return jsonText(v)
	case traits.Mapper:
		return object(v)
	case traits.Lister:
		return list(v)
	}
	return nil, fmt.Errorf("gives %s, which has no JSON form", v.Type().TypeName())
}

// object converts a CEL map.
func object(m traits.Mapper) (any, error) {
	out := make(map[string]any)
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, err := plain(key)
		if err != nil {
			return nil, err
		}
		value, err := plain(m.Get(key))
		if err != nil {
			return nil, err
		}
		out[Text(name)] = value
	}
	return out, nil
}

// list converts a CEL list.
func list(l traits.Lister) (any, error) {
	out := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		value, err := plain(it.Next())
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// jsonText converts what JSON writes as a string.
func jsonText(v ref.Val) (any, error) {
	if d, ok := v.(types.Duration); ok {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s", nil
	}
	b, err := json.Marshal(v.Value())
	if err != nil {
		return nil, err
	}
	var s string
	err = json.Unmarshal(b, &s)
	return s, err
}

// marshal writes compact JSON as it was meant: no HTML escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads valid JSON into plain Go; integers stay integers.
func decode(text []byte) any { return native(gjson.ParseBytes(text)) }
