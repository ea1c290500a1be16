package fake

import (
	"net/http"
	"slices"

	"github.com/tidwall/gjson"
)

// anthropicVersions are the values of the anthropic-version header that the
// fake has. The later one takes no temperature, top_k and top_p, no document
// in an assistant's message and no citations in a user's.
var anthropicVersions = []string{"2023-06-01", "2026-10-21"}

func (w *World) anthropic() *Vendor {
	v := w.vendor("anthropic", anthropicError, "api.anthropic.com").withKey("sk-ant-lab-" + secret())
	v.models = []string{"claude-3-sonnet-20240229", "claude-opus-4-5", "claude-opus-5-5", "claude-haiku-4-5"}
	v.handle("POST /v1/messages", anthropic((*exchange).messages))
	v.handle("POST /v1/messages/count_tokens", anthropic(func(x *exchange) error {
		if err := x.anthropicBody("count"); err != nil {
			return err
		}
		used, _ := x.usage(anthropicQuestion(gjson.ParseBytes(x.body)).answer().in, 0)
		return x.reply(object{"input_tokens": used.Input})
	}))
	v.handle("GET /v1/models", anthropic(func(x *exchange) error {
		list := []object{}
		for _, id := range v.catalog() {
			list = append(list, anthropicModel(id))
		}
		return x.reply(object{"data": list, "has_more": false, "first_id": list[0]["id"], "last_id": list[len(list)-1]["id"]})
	}))
	v.handle("GET /v1/models/{model}", anthropic(func(x *exchange) error {
		id := x.r.PathValue("model")
		if !v.offers(id) {
			return &refusal{Status: http.StatusNotFound, Message: "model: " + id}
		}
		return x.reply(anthropicModel(id))
	}))
	return v
}

func anthropicModel(id string) object {
	return object{"type": "model", "id": id, "display_name": id, "created_at": "2024-02-29T00:00:00Z"}
}

// anthropic asks for the key and the version before what follows. The key may
// be in either header: the API's reference has X-Api-Key, the vendor's clients
// have Authorization since their version 2. Seen.Via tells which it was.
func anthropic(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		key := x.r.Header.Get("X-Api-Key")
		wrong := "invalid x-api-key"
		if key == "" {
			key, wrong = x.bearer(), "Invalid bearer token"
		}
		x.presents(key, "")
		switch version := x.r.Header.Get("Anthropic-Version"); {
		case key == "":
			return &refusal{Status: http.StatusUnauthorized, Message: "x-api-key header is required"}
		case !x.v.accepts(key):
			return &refusal{Status: http.StatusUnauthorized, Message: wrong}
		case version == "":
			return &refusal{Status: http.StatusBadRequest, Message: "anthropic-version: header is required"}
		case !slices.Contains(anthropicVersions, version):
			return &refusal{Status: http.StatusBadRequest, Message: "anthropic-version: \"" + version + "\" is not a valid version"}
		}
		x.presents(key, "api key")
		if x.r.Method == http.MethodGet {
			if err := x.trouble(); err != nil {
				return err
			}
		}
		return then(x)
	}
}

func (x *exchange) anthropicBody(call string) error {
	if err := x.media("application/json"); err != nil {
		return err
	}
	shape := call + "-" + x.r.Header.Get("Anthropic-Version")
	if bad := x.check(shape); bad != nil {
		return &refusal{Status: http.StatusBadRequest, Message: anthropicWords(bad)}
	}
	if model := gjson.GetBytes(x.body, "model").Str; !x.v.offers(model) {
		return &refusal{Status: http.StatusNotFound, Message: "model: " + model}
	}
	return x.trouble()
}

func anthropicWords(bad *wrong) string {
	switch bad.problem {
	case "unknown":
		return bad.at + ": Extra inputs are not permitted"
	case "missing":
		return bad.at + ": Field required"
	case "type":
		return bad.at + ": Input should be a valid " + bad.want
	}
	return "The request body is not valid JSON: " + bad.got
}

// messages is the Messages API.
func (x *exchange) messages() error {
	if err := x.anthropicBody("messages"); err != nil {
		return err
	}
	body := gjson.ParseBytes(x.body)
	a := anthropicQuestion(body).answer()
	if body.Get("stream").Bool() {
		s := x.sse(func(s *stream) error {
			return s.event("error", object{"type": "error", "error": object{"type": "overloaded_error", "message": "Overloaded"}, "request_id": nil})
		})
		return s.messageEvents(body.Get("model").Str, a)
	}
	return x.reply(x.message(body.Get("model").Str, a))
}

func anthropicQuestion(body gjson.Result) question {
	q := question{most: int(body.Get("max_tokens").Int())}
	for _, text := range texts(body.Get("system")) {
		q.aside(text)
	}
	for _, m := range body.Get("messages").Array() {
		content := m.Get("content")
		q.heard = false
		for _, text := range texts(content) {
			q.say(text)
		}
		for _, part := range content.Array() {
			if part.Get("type").Str == "tool_result" {
				q.heard = true
				for _, text := range texts(part.Get("content")) {
					q.say(text)
				}
			}
		}
	}
	for _, t := range body.Get("tools").Array() {
		q.tools = append(q.tools, tool{name: t.Get("name").Str, schema: t.Get("input_schema")})
	}
	choice := body.Get("tool_choice")
	q.quiet, q.pick = choice.Get("type").Str == "none", choice.Get("name").Str
	return q
}

// stopReason is why the answer ended, in Anthropic's words.
func (a answer) stopReason() string {
	switch {
	case a.call != "":
		return "tool_use"
	case a.cut:
		return "max_tokens"
	}
	return "end_turn"
}

// message is an answer as one object.
func (x *exchange) message(model string, a answer) object {
	content := object{"type": "text", "text": a.text(), "citations": nil}
	if a.call != "" {
		content = object{"type": "tool_use", "id": "toolu_lab_1", "name": a.call, "input": a.parsed()}
	}
	out := object{"id": "msg_" + x.serial(), "type": "message", "role": "assistant", "model": model, "content": []object{content}, "stop_reason": a.stopReason(), "stop_sequence": nil}
	if used, told := x.usage(a.in, a.out); told {
		out["usage"] = anthropicUsage(used)
	}
	return out
}

func anthropicUsage(u Usage) object {
	return object{"input_tokens": u.Input, "output_tokens": u.Output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "service_tier": "standard"}
}

// messageEvents sends an answer as the events of the Messages API.
func (s *stream) messageEvents(model string, a answer) error {
	start := s.x.message(model, answer{in: a.in, out: 1})
	start["content"], start["stop_reason"] = []any{}, nil
	opened := object{"type": "text", "text": ""}
	if a.call != "" {
		opened = object{"type": "tool_use", "id": "toolu_lab_1", "name": a.call, "input": object{}}
	}
	used, told := s.x.usage(a.in, a.out)
	if !told {
		delete(start, "usage")
	}
	if err := s.events(
		object{"type": "message_start", "message": start},
		object{"type": "content_block_start", "index": 0, "content_block": opened},
		object{"type": "ping"},
	); err != nil {
		return err
	}
	if err := s.messageDeltas(a); err != nil {
		return err
	}
	end := object{"type": "message_delta", "delta": object{"stop_reason": a.stopReason(), "stop_sequence": nil}}
	if told {
		end["usage"] = object{"output_tokens": used.Output}
	}
	return s.events(object{"type": "content_block_stop", "index": 0}, end, object{"type": "message_stop"})
}

func (s *stream) messageDeltas(a answer) error {
	block := func(delta object) error {
		return s.token("content_block_delta", object{"type": "content_block_delta", "index": 0, "delta": delta})
	}
	if a.call != "" {
		for _, piece := range a.pieces() {
			if err := block(object{"type": "input_json_delta", "partial_json": piece}); err != nil {
				return err
			}
		}
		return s.tail()
	}
	for _, word := range a.words {
		if err := block(object{"type": "text_delta", "text": word}); err != nil {
			return err
		}
	}
	return s.tail()
}

// events sends events that are named as their type.
func (s *stream) events(all ...object) error {
	for _, e := range all {
		if err := s.event(e["type"].(string), e); err != nil {
			return err
		}
	}
	return nil
}

// anthropicError writes {"type":"error","error":{"type","message"}}.
func anthropicError(x *exchange, r *refusal) {
	kind := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 405: "invalid_request_error",
		413: "request_too_large", 415: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
	}[r.Status]
	if kind == "" {
		kind = "api_error"
	}
	id := "req_" + x.serial()
	x.Header().Set("Request-Id", id)
	x.write(r.Status, object{"type": "error", "error": object{"type": kind, "message": r.Message}, "request_id": id})
}
