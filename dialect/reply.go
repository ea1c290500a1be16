package dialect

import "strings"

// Bounds of what a Reply keeps, in bytes.
const (
	maxBody  = 16 << 20 // of a unary body, or of one event, to be read
	maxHeld  = 1 << 20  // of an event held back from the client until it is known whether it may pass
	keepRoom = 64 << 10 // of buffers that outlive a Reset
)

// mode is how the body of an answer is read.
type mode byte

const (
	passing mode = iota // not read: neither an AI call nor JSON
	unary               // one JSON text
	events              // server-sent events
)

// Reply reads one response body while it passes to the client. It is for one goroutine; Reset makes it ready for another body.
type Reply struct {
	dialect Dialect
	mode    mode
	strip   bool

	held, spare []byte // the body so far, or the event that has begun; spare takes turns with it
	out         []byte // what is left of a piece from which an event was removed
	join        []byte // the data of an event that has several data lines
	split       splitter
	lost        bool // what is being read is larger than maxBody: pass it on unread
	began       bool // the first event has been seen, so a byte order mark has passed
	dropped     bool // the event before was removed

	counts counts
	usage  Usage
	exact  bool
	model  string
	text   int64 // bytes of answer text, for estimates
	told   int64 // of them what had passed when the provider last gave its numbers
	done   bool
	ended  bool // the last bytes have been seen
	open   bool // the client has the beginning of an event without its end
}

// NewReply returns a Reply for a body of this content type in the answer to a call of dialect d. With None, a JSON body or
// stream is read for /usage/total_tokens alone, as Kuadrant's TokenRateLimitPolicy does. With strip, the client did not ask for usage:
// the chunk that AskUsage causes, with usage and without choices, is removed from a stream; a "usage": null elsewhere stays.
func NewReply(d Dialect, contentType string, strip bool) *Reply {
	r := new(Reply)
	r.Reset(d, contentType, strip)
	return r
}

// Reset makes r as NewReply does, with the buffers it has unless they grew large.
func (r *Reply) Reset(d Dialect, contentType string, strip bool) {
	*r = Reply{
		dialect: d, mode: modeOf(d, contentType), counts: noCounts,
		held: room(r.held), spare: room(r.spare), out: room(r.out), join: room(r.join),
	}
	r.strip = strip && d.asksUsage()
}

func room(b []byte) []byte {
	if cap(b) > keepRoom {
		return nil
	}
	return b[:0]
}

func modeOf(d Dialect, contentType string) mode {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	switch {
	case strings.EqualFold(kind, "text/event-stream"):
		return events
	case d != None, strings.EqualFold(kind, "application/json"), endsIn(kind, "+json"):
		return unary
	}
	return passing
}

// Next takes the next bytes of the body, as the provider sent them and in pieces of any size, and returns those that may go to
// the client now. Last says that no more will come, be it with b empty. The result is b itself, or memory of r that is good
// until the next call: a stream passes event by event, unchanged, and only with strip is an unfinished event held back.
func (r *Reply) Next(b []byte, last bool) []byte {
	r.ended = r.ended || last
	switch r.mode {
	case unary:
		r.body(b, last)
		return b
	case events:
		return r.stream(b, last)
	}
	r.done = r.done || last
	return b
}

// body reads a unary answer, from b itself when it comes in one piece.
func (r *Reply) body(b []byte, last bool) {
	if !r.lost && len(r.held)+len(b) > maxBody {
		r.lost = true
		r.text += int64(len(r.held))
		r.held = nil
	}
	if r.lost {
		r.text += int64(len(b))
		r.done = r.done || last
		return
	}
	if len(r.held) > 0 || !last {
		r.held = append(r.held, b...)
		b = r.held
	}
	if !last {
		return
	}
	r.done = true
	if v, ok := look(b); ok {
		r.take(&v)
	} else {
		r.text += int64(len(b))
	}
	r.held = r.held[:0]
}

// take notes what one JSON text of the answer showed.
func (r *Reply) take(v *sight) {
	r.text += int64(v.text)
	if r.model == "" && 0 < len(v.model) && len(v.model) <= maxModel {
		if model, ok := decodeName(v.model); ok {
			r.model = model
		}
	}
	if v.used && !v.counts.broken {
		r.count(v)
	}
	switch {
	case v.failed:
		r.done = true
	case r.dialect == AnthropicMessages:
		r.done = r.done || anthropicEnd(string(v.kind))
	case r.dialect == OpenAIResponses:
		r.done = r.done || responsesEnd(string(v.kind))
	}
}

// count takes over the provider's numbers. The last ones win; Anthropic's are spread over the first event, which knows only
// the input, and a later one.
func (r *Reply) count(v *sight) {
	if r.dialect == AnthropicMessages {
		r.counts.merge(v.counts)
		if string(v.kind) == "message_start" {
			return
		}
	} else {
		r.counts = v.counts
	}
	if u, ok := r.counts.usage(r.dialect); ok {
		r.usage, r.exact, r.told = u, true, r.text
	}
}

// Usage returns the provider's own numbers, as far as they have passed; the last ones win. False means that there were none, or
// none that can be believed: fractions, negative ones and more than 2^40 tokens. Those of a stream that broke off when more
// text had followed do not count either: who leaves early must not pay for the first event alone.
func (r *Reply) Usage() (Usage, bool) {
	if r.early() {
		return Usage{}, false
	}
	return r.usage, r.exact
}

// early reports whether the numbers that the provider gave are older than the text.
func (r *Reply) early() bool {
	return r.exact && r.mode == events && !r.done && r.dialect != None && r.text > r.told
}

// Estimate returns what the call has probably cost so far, when the provider did not say: a token for every four bytes of text
// in the request and in what has passed of the answer, each rounded up, and one at least (acceptance maas 100 as
// overridden). It works for streams that were cut. Bytes that could not be read count as text.
func (r *Reply) Estimate(c Call) Usage {
	if r.early() { // the numbers, and what followed them
		u, more := r.usage, tokens(r.text-r.told)
		u.Exact = false
		u.Output += more
		u.Total += more
		return u
	}
	u := Usage{Input: tokens(int64(c.InputBytes)), Output: tokens(r.text)}
	if r.dialect == AnthropicMessages && r.counts.input != absent { // message_start told
		seen := r.counts
		seen.output = max(seen.output, 0)
		known, _ := anthropicUsage(seen)
		u.Input, u.Cached, u.CacheWrite = known.Input, known.Cached, known.CacheWrite
	}
	u.Total = max(1, u.Input+u.Output)
	return u
}

func tokens(text int64) int64 { return (text + tokenBytes - 1) / tokenBytes }

// Done reports whether the answer is complete: a stream has said how it ended ([DONE], message_stop, response.completed, an
// error), a unary body has passed.
func (r *Reply) Done() bool { return r.done }

// Broken reports whether a stream ended in the middle of an event or without saying how it ended.
func (r *Reply) Broken() bool { return r.mode == events && r.ended && !r.done }

// Model returns the model that the provider says it served; "" when it has not said yet.
func (r *Reply) Model() string { return r.model }

// Cut returns the bytes that end the client's stream with an error, when the provider broke it: ErrorEvent, behind the end of the
// event that the client has the beginning of. Unary answers cannot be mended: nil.
func (r *Reply) Cut(code, message string) []byte {
	if r.mode != events {
		return nil
	}
	event := ErrorEvent(r.dialect, code, message)
	if !r.open {
		return event
	}
	return append([]byte("\n\n"), event...)
}
