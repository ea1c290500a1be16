package provider

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// reply is what a provider says and what it pretends that this cost.
type reply struct {
	text          string
	input, output int // tokens: 1–5 and 5–24
}

func newReply(r *rand.Rand) reply {
	texts := [...]string{
		"This answer comes from a simulated provider.",
		"All is well at the other end of the gateway.",
		"A simulator has read your message and picked this sentence.",
		"Here stands what a large model would have said.",
	}
	return reply{text: texts[r.IntN(len(texts))], input: 1 + r.IntN(5), output: 5 + r.IntN(20)}
}

// pieces cuts the text for a stream: word by word.
func (y reply) pieces() []string { return strings.SplitAfter(y.text, " ") }

// id draws an identifier as providers make them.
func id(r *rand.Rand, prefix string) string {
	return fmt.Sprintf("%s%016x%08x", prefix, r.Uint64(), r.Uint32())
}

// events sends a stream of server-sent events. After the client is gone it keeps still.
type events struct {
	x    *exchange
	wait func(piece int) error
	gone bool
	n    int // pieces sent
}

func (s *Server) newEvents(x *exchange) *events {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("Cache-Control", "no-cache")
	return &events{x: x, wait: func(piece int) error {
		if piece == 0 {
			return nil
		}
		return s.cfg.Wait(x.r.Context(), s.cfg.ChunkLatency)
	}}
}

// pause passes the time before the next piece of text.
func (e *events) pause() {
	if !e.gone && e.wait(e.n) != nil {
		e.gone = true
	}
	e.n++
}

// send writes one event and flushes it. An empty name leaves the event line out.
func (e *events) send(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an event is not JSON: " + err.Error())
	}
	e.raw(name, string(data))
}

func (e *events) raw(name, data string) {
	if e.gone {
		return
	}
	event := "data: " + data + "\n\n"
	if name != "" {
		event = "event: " + name + "\n" + event
	}
	if _, err := e.x.w.Write([]byte(event)); err != nil {
		e.gone = true
		return
	}
	e.gone = http.NewResponseController(e.x.w).Flush() != nil
}
