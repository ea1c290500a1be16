package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

// play gives a reply its time and sends it: token by token to a client that streams, else whole at the end. It stops
// when the client is gone; such a request is counted nowhere.
func (k *rank) play(w http.ResponseWriter, r *http.Request, c *completion) {
	seated := k.cfg.Now()
	var cached int
	if c.cacheable {
		cached = k.cache.open(c.prompt)
		defer k.cache.close(c.prompt)
	}
	out := newStream(w, c, seated)
	p := pace{Latency: &k.cfg.Latency, rand: c.rand, seats: k.cfg.MaxNumSeqs, busy: k.queue.busy}
	first := seated
	for i := range max(1, c.steps()) { // a prefill takes its time even when nothing comes of it
		d := p.next()
		if i == 0 {
			d = p.first(c.request.DoRemotePrefill, len(c.prompt), cached)
		}
		before := k.cfg.Now()
		if k.cfg.Wait(r.Context(), d) != nil {
			return
		}
		now := k.cfg.Now()
		if i == 0 {
			first = now
			k.metrics.time(firstToken, now.Sub(c.arrived))
		} else {
			k.metrics.time(perToken, now.Sub(before))
		}
		if out.piece(i) != nil {
			return
		}
	}
	k.settle(c, seated, first)
	out.end()
}

// settle counts a reply that was played to its end.
func (k *rank) settle(c *completion, seated, first time.Time) {
	now := k.cfg.Now()
	k.metrics.time(queueTime, seated.Sub(c.arrived))
	k.metrics.time(prefill, first.Sub(seated))
	k.metrics.time(decode, now.Sub(first))
	k.metrics.time(inference, now.Sub(seated))
	k.metrics.time(endToEnd, now.Sub(c.arrived))
	k.metrics.served(c.usage(), c.request.limit(), c.finish)
}

// stream sends one reply; for a unary request it keeps still until the end.
type stream struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
	c       *completion
	created time.Time
}

func newStream(w http.ResponseWriter, c *completion, created time.Time) *stream {
	return &stream{w: w, flusher: http.NewResponseController(w), c: c, created: created}
}

// piece sends the chunk of one token, before the first one the chunk that opens the stream. The error says that the
// client is gone.
func (s *stream) piece(i int) error {
	if !s.c.request.Stream {
		return nil
	}
	if i == 0 {
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.Header().Set("Cache-Control", "no-cache")
		if err := s.choice(s.c.script.opening); err != nil {
			return err
		}
	}
	if i >= len(s.c.script.pieces) {
		return nil
	}
	return s.choice(s.c.script.pieces[i])
}

// end sends what follows the last token. Nobody is left to hear of its errors.
func (s *stream) end() {
	script := s.c.script
	u := s.c.usage()
	if !s.c.request.Stream {
		whole := s.c.answer(script.object, s.created, script.whole)
		whole.Usage = &u
		writeJSON(s.w, http.StatusOK, whole)
		return
	}
	_ = s.choice(script.closing)
	if s.c.request.StreamOptions.IncludeUsage {
		last := s.c.answer(script.chunkObject, s.created)
		last.Usage = &u
		_ = s.event(last)
	}
	_ = s.send([]byte("[DONE]"))
}

func (s *stream) choice(choice any) error {
	if choice == nil {
		return nil
	}
	return s.event(s.c.answer(s.c.script.chunkObject, s.created, choice))
}

func (s *stream) event(a answer) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.send(data)
}

// send writes one server-sent event and flushes it: a stream is never held back.
func (s *stream) send(data []byte) error {
	event := make([]byte, 0, len(data)+8)
	event = append(event, "data: "...)
	event = append(event, data...)
	event = append(event, "\n\n"...)
	if _, err := s.w.Write(event); err != nil {
		return err
	}
	return s.flusher.Flush()
}
