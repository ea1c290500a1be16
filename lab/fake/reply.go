package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// object is a JSON object in the making.
type object = map[string]any

// reply answers with JSON, unless the fault of the exchange has it otherwise.
func (x *exchange) reply(answer any) error {
	if !x.fault.wait(x.r.Context(), x.fault.First) {
		return errLeft
	}
	data := encode(answer)
	half := len(data) / 2
	switch x.fault.Then {
	case Fail:
		return &refusal{Status: http.StatusInternalServerError, Message: phrase(http.StatusInternalServerError)}
	case Garble, End:
		data = data[:half]
	}
	x.Header().Set("Content-Type", "application/json")
	x.Header().Set("Content-Length", strconv.Itoa(len(data)))
	x.WriteHeader(http.StatusOK)
	if x.fault.Then == Stall || x.fault.Then == Cut {
		_, _ = x.Write(data[:half])
		_ = http.NewResponseController(x).Flush()
		if !x.fault.strike(x) {
			return errLeft
		}
		data = data[half:]
	}
	_, err := x.Write(data)
	return err
}

// write answers with JSON of any status, whatever the fault is.
func (x *exchange) write(status int, answer any) {
	data := encode(answer)
	x.Header().Set("Content-Type", "application/json")
	x.Header().Set("Content-Length", strconv.Itoa(len(data)))
	x.WriteHeader(status)
	_, _ = x.Write(data)
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return data
}

// frame writes an event as a vendor does: its name, its payload.
type frame func(name string, payload []byte) []byte

// stream is an answer in events.
type stream struct {
	x      *exchange
	frame  frame
	fail   func(*stream) error // sends the vendor's error event
	tokens int
	struck bool
}

func (x *exchange) stream(media string, f frame, fail func(*stream) error) *stream {
	x.Header().Set("Content-Type", media)
	x.Header().Set("Cache-Control", "no-cache")
	x.WriteHeader(http.StatusOK)
	return &stream{x: x, frame: f, fail: fail}
}

// sse starts a stream of server-sent events.
func (x *exchange) sse(fail func(*stream) error) *stream {
	return x.stream("text/event-stream; charset=utf-8", sse, fail)
}

// sse frames an event; one without a name has a data line only.
func sse(name string, payload []byte) []byte {
	if name == "" {
		return fmt.Appendf(nil, "data: %s\n\n", payload)
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, payload)
}

// event sends one event, which is not a token.
func (s *stream) event(name string, v any) error { return s.raw(name, encode(v)) }

func (s *stream) raw(name string, payload []byte) error {
	if _, err := s.x.Write(s.frame(name, payload)); err != nil {
		return err
	}
	return http.NewResponseController(s.x).Flush()
}

// token sends an event that carries a token, in its time.
func (s *stream) token(name string, v any) error {
	f := &s.x.fault
	if f.Then != "" && s.tokens == f.After {
		if err := s.strike(); err != nil {
			return err
		}
	}
	wait := f.Between
	if s.tokens == 0 {
		wait = f.First
	}
	if !f.wait(s.x.r.Context(), wait) {
		return errLeft
	}
	s.tokens++
	return s.event(name, v)
}

// tail is called once all tokens are sent: a fault that was to come later comes now.
func (s *stream) tail() error {
	if s.x.fault.Then == "" || s.struck {
		return nil
	}
	return s.strike()
}

func (s *stream) strike() error {
	s.struck = true
	if s.x.fault.Then == Garble {
		return s.raw("", []byte(`{"object": "chat.completion.chunk", "choi`))
	}
	if s.x.fault.strike(s.x) {
		return nil
	}
	if s.x.fault.Then == Fail {
		if err := s.fail(s); err != nil {
			return err
		}
	}
	return errLeft
}
