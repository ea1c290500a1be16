package dialect

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Call is what a request body says about itself: the few fields that decide something.
type Call struct {
	Dialect    Dialect // None when the object holds none of model, messages, prompt and input and does not stream: the path only looked like an AI call
	Model      string  // as the client spells it; "" when absent
	Stream     bool
	WantsUsage bool  // the client itself set stream_options.include_usage
	MaxTokens  int64 // the largest of max_tokens, max_completion_tokens and max_output_tokens, since servers differ on which wins; 0: none
	InputBytes int   // bytes of prompt text and tool definitions, for estimates
}

// BadBody is a request body that cannot be served. Field is the member that is wrong, "" when the whole body is; Why says
// what is wrong and what to do, for the person who sent it.
type BadBody struct{ Field, Why string }

func (e *BadBody) Error() string {
	if e.Field == "" {
		return "request body: " + e.Why
	}
	return "request body: " + e.Field + ": " + e.Why
}

// maxModel bounds the length of a model's name in bytes; cloud resource names, the longest in use, stay far below.
const maxModel = 1024

// decisive are the members that decide something. Each may be there once and must be spelled as here.
var decisive = [...]string{"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"}

// Places of members in decisive.
const (
	atModel = iota
	atStream
	atStreamOptions
)

// span is a part of a body; to is 0 when the part is absent.
type span struct{ from, to int }

func (p span) of(b []byte) []byte { return b[p.from:p.to] }

// reading is one pass over a request body. The body belongs to a None call until a member proves otherwise.
type reading struct {
	scanner
	call    Call
	seen    [len(decisive)]span // values of the decisive members
	usage   span                // value of stream_options.include_usage
	options span                // stream_options when it is an object
	end     int                 // where the outermost object's } is
	isCall  bool
}

// Read reads the deciding fields of a request body of dialect d in one pass, without keeping any of it. The error is always a
// *BadBody: the body is not a JSON object, a deciding field is of the wrong type, or two readers could disagree about it
// because it comes twice, also under an escaped or differently capitalised name (some servers match names without case).
// For None it returns the zero Call.
func Read(d Dialect, body []byte) (Call, error) {
	if d == None {
		return Call{}, nil
	}
	r := reading{scanner: scanner{b: body}}
	if err := r.read(); err != nil {
		return Call{}, err
	}
	if r.isCall {
		r.call.Dialect = d
	}
	return r.call, nil
}

func (r *reading) read() error {
	if !utf8.Valid(r.b) {
		return &BadBody{"", "it is not UTF-8 text; send JSON (RFC 8259), uncompressed"}
	}
	switch r.next() {
	case object:
	case bad:
		return r.broken()
	default:
		return &BadBody{"", "it must be a JSON object"}
	}
	t := r.next()
	for ; t == key; t = r.next() {
		if err := r.member(); err != nil {
			return err
		}
	}
	r.end = r.from
	if t == bad || r.next() != end {
		return r.broken()
	}
	return nil
}

func (r *reading) broken() error {
	switch {
	case r.deep:
		return &BadBody{"", fmt.Sprintf("it is nested deeper than %d levels", maxDepth)}
	case len(r.b) == 0:
		return &BadBody{"", "it is empty; send a JSON object"}
	}
	return &BadBody{"", fmt.Sprintf("it is not valid JSON; the mistake is at or after byte %d", r.from)}
}

// member reads the member whose name is the last token.
func (r *reading) member() error {
	name, err := r.name(decisive[:])
	if err != nil {
		return err
	}
	if name < 0 {
		r.other()
		return nil
	}
	field := decisive[name]
	if r.seen[name].to > 0 {
		return &BadBody{field, "it is there more than once, and servers disagree about which one counts; send it once"}
	}
	t := r.next()
	r.seen[name] = span{r.from, r.to}
	switch name {
	case atModel:
		r.isCall = true
		return r.model(t)
	case atStream:
		r.call.Stream, err = r.flag(field, t)
		r.isCall = r.isCall || r.call.Stream // only calls stream
		return err
	case atStreamOptions:
		return r.streamOptions(t)
	}
	return r.limit(field, t)
}

// name returns the place in names of the key that is the last token, -1 when it is none of them, and an error when it is one
// in disguise.
func (r *reading) name(names []string) (int, error) {
	var room [64]byte
	plain := r.text()
	if r.escapes > 0 {
		decoded, ok := unquote(room[:0], plain)
		if !ok {
			return -1, &BadBody{"", fmt.Sprintf("the member name %.80q holds control characters or broken escapes", string(plain))}
		}
		plain = decoded
	}
	for i, name := range names {
		if string(plain) == name {
			return i, nil
		}
	}
	for _, name := range names {
		if bytes.EqualFold(plain, []byte(name)) {
			return -1, &BadBody{name, fmt.Sprintf("it is spelled %q, which some servers read and others do not; spell it %q", string(plain), name)}
		}
	}
	return -1, nil
}

// other passes over a member that decides nothing, and measures it when it is part of the prompt. What makes the body a call is
// known in any spelling that some server reads: one that takes calls without a model must not be told a call from us.
func (r *reading) other() {
	var room [64]byte
	name := r.text()
	if r.escapes > 0 {
		name, _ = unquote(room[:0], name) // name has seen to it that this works
	}
	if anyFold(name, "messages", "prompt", "input") {
		r.isCall = true
		r.call.InputBytes += textSize(&r.scanner, r.next(), tokenBytes)
		return
	}
	switch string(name) {
	case "system", "instructions":
		r.call.InputBytes += textSize(&r.scanner, r.next(), 0)
	case "tools", "functions": // the model reads names and schema as they stand
		t := r.next()
		from := r.from
		r.skip(t)
		r.call.InputBytes += max(0, r.to-from)
	default:
		r.skip(r.next())
	}
}

func anyFold(name []byte, of ...string) bool {
	return slices.ContainsFunc(of, func(s string) bool { return bytes.EqualFold(name, []byte(s)) })
}

func (r *reading) model(t token) error {
	if t == bad {
		return r.broken()
	}
	if t != str {
		return &BadBody{"model", "it must be a string"}
	}
	if r.size() > maxModel {
		return &BadBody{"model", fmt.Sprintf("it is longer than %d bytes", maxModel)}
	}
	var ok bool
	if r.call.Model, ok = decodeName(r.text()); !ok {
		return &BadBody{"model", "it holds control characters or broken escapes"}
	}
	return nil
}

// decodeName decodes the inside of a JSON string that names something; false as for unquote.
func decodeName(text []byte) (string, bool) {
	var room [128]byte
	decoded, ok := unquote(room[:0], text)
	return string(decoded), ok
}

// flag reads a boolean that may also be null, which the official clients send for "not set".
func (r *reading) flag(field string, t token) (bool, error) {
	switch t {
	case boolean:
		return r.b[r.from] == 't', nil
	case null:
		return false, nil
	case bad:
		return false, r.broken()
	}
	return false, &BadBody{field, "it must be true or false"}
}

func (r *reading) streamOptions(t token) (err error) {
	switch t {
	case null:
		return nil
	case bad:
		return r.broken()
	case object:
	default:
		return &BadBody{"stream_options", "it must be an object"}
	}
	from := r.from
	for t = r.next(); t == key; t = r.next() {
		i, err := r.name([]string{"include_usage"})
		switch {
		case err != nil:
			return err
		case i < 0:
			r.skip(r.next())
			continue
		case r.usage.to > 0:
			return &BadBody{"stream_options.include_usage", "it is there more than once; send it once"}
		}
		t = r.next()
		r.usage = span{r.from, r.to}
		if r.call.WantsUsage, err = r.flag("stream_options.include_usage", t); err != nil {
			return err
		}
	}
	if t == bad {
		return r.broken()
	}
	r.options = span{from, r.to}
	return nil
}

// limit reads a largest number of tokens. Zero and negative ones are left for the provider to refuse in its own words.
func (r *reading) limit(field string, t token) error {
	switch t {
	case null:
		return nil
	case bad:
		return r.broken()
	case number:
		n, err := strconv.ParseInt(string(r.raw()), 10, 64)
		if err == nil {
			r.call.MaxTokens = max(r.call.MaxTokens, n)
			return nil
		}
	}
	return &BadBody{field, "it must be a whole number"}
}
