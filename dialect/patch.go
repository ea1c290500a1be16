package dialect

import "bytes"

// AskUsage sets stream_options.include_usage to true in a streaming request of a dialect that has the field (acceptance
// maas 109), and leaves every other byte as it was. A body that asks already, does not stream or is of another dialect is
// returned as it is; otherwise the result is a copy. The error is a *BadBody.
func AskUsage(d Dialect, body []byte) ([]byte, error) {
	if !d.asksUsage() {
		return body, nil
	}
	r := reading{scanner: scanner{b: body}}
	if err := r.read(); err != nil {
		return nil, err
	}
	options := r.seen[atStreamOptions]
	switch {
	case !r.call.Stream || r.call.WantsUsage:
		return body, nil
	case r.usage.to > 0:
		return splice(body, r.usage, "true"), nil
	case r.options.to > 0:
		return insert(body, r.options.of(body), r.options.to-1, `"include_usage":true`), nil
	case options.to > 0: // null
		return splice(body, options, `{"include_usage":true}`), nil
	}
	return insert(body, body, r.end, `"stream_options":{"include_usage":true}`), nil
}

// SetModel returns a copy of body with another model, and every other byte as it was; body itself when the model is that
// already. A body without a model gets one. The error is a *BadBody.
func SetModel(body []byte, model string) ([]byte, error) {
	r := reading{scanner: scanner{b: body}}
	if err := r.read(); err != nil {
		return nil, err
	}
	at := r.seen[atModel]
	if at.to > 0 && r.call.Model == model {
		return body, nil
	}
	value := string(quote(make([]byte, 0, len(model)+2), model))
	if at.to > 0 {
		return splice(body, at, value), nil
	}
	return insert(body, body, r.end, `"model":`+value), nil
}

// RefusesUsage reports whether the body of a 400 answer names the field that AskUsage sets: the provider does not know it, and
// one try without it is worth making (acceptance maas 109). Only the first 64 KiB are looked at.
func RefusesUsage(body []byte) bool {
	body = body[:min(len(body), 64<<10)]
	return bytes.Contains(body, []byte("stream_options")) || bytes.Contains(body, []byte("include_usage"))
}

// splice copies b with one part replaced.
func splice(b []byte, part span, by string) []byte {
	out := make([]byte, 0, len(b)-(part.to-part.from)+len(by))
	out = append(out, b[:part.from]...)
	out = append(out, by...)
	return append(out, b[part.to:]...)
}

// insert copies b with a member added before the } at place brace, which closes obj.
func insert(b, obj []byte, brace int, member string) []byte {
	for _, c := range obj {
		if c == '"' { // it has members
			member = "," + member
			break
		}
	}
	return splice(b, span{brace, brace}, member)
}
