package fake

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

func (w *World) openAI() *Vendor {
	v := w.vendor("openai", openAIError, "api.openai.com").withKey("sk-proj-lab-" + secret())
	v.models = []string{"gpt-4o", "gpt-4o-mini", "gpt-4.1"}
	v.handle("POST /v1/chat/completions", openAI((*exchange).chat))
	v.handle("POST /v1/responses", openAI((*exchange).responses))
	v.handle("GET /v1/models", openAI(func(x *exchange) error {
		list := []object{}
		for _, id := range v.catalog() {
			list = append(list, openAIModel(id))
		}
		return x.reply(object{"object": "list", "data": list})
	}))
	v.handle("GET /v1/models/{model}", openAI(func(x *exchange) error {
		id := x.r.PathValue("model")
		if !v.offers(id) {
			return unknownModel(id)
		}
		return x.reply(openAIModel(id))
	}))
	return v
}

func openAIModel(id string) object {
	return object{"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "openai"}
}

// openAI asks for the key before what follows, which takes its fault itself
// when there is a body to check first.
func openAI(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		key := x.bearer()
		switch {
		case key == "":
			return &refusal{Status: http.StatusUnauthorized, Message: "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."}
		case !x.v.accepts(key):
			x.presents(key, "")
			return &refusal{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: "Incorrect API key provided: " + masked(key) + "."}
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

// openAIBody checks what is common to all bodies of OpenAI and takes the fault.
func (x *exchange) openAIBody(shape string) error {
	if err := x.media("application/json"); err != nil {
		return err
	}
	if bad := x.check(shape); bad != nil {
		r := &refusal{Status: http.StatusBadRequest, Param: bad.at}
		switch bad.problem {
		case "unknown":
			r.Code, r.Message = "unknown_parameter", fmt.Sprintf("Unknown parameter: '%s'.", bad.at)
		case "missing":
			r.Code, r.Message = "missing_required_parameter", fmt.Sprintf("Missing required parameter: '%s'.", bad.at)
		case "type":
			r.Code, r.Message = "invalid_type", fmt.Sprintf("Invalid type for '%s': expected %s, but got %s instead.", bad.at, bad.want, bad.got)
		default:
			r.Message = "We could not parse the JSON body of your request. (" + bad.got + ")"
		}
		return r
	}
	if model := gjson.GetBytes(x.body, "model").Str; x.r.PathValue("deployment") == "" && !x.v.offers(model) {
		return unknownModel(model)
	}
	return x.trouble()
}

func unknownModel(id string) error {
	return &refusal{Status: http.StatusNotFound, Code: "model_not_found", Param: "model", Message: "The model `" + id + "` does not exist or you do not have access to it."}
}

// chat is the chat completions of OpenAI, and of Azure under its own paths.
func (x *exchange) chat() error {
	if err := x.openAIBody("chat"); err != nil {
		return err
	}
	body := gjson.ParseBytes(x.body)
	if body.Get("n").Int() > 1 {
		return &refusal{Status: http.StatusBadRequest, Code: "invalid_value", Param: "n", Message: "Invalid 'n': this model answers once."}
	}
	if !body.Get("stream").Bool() {
		if body.Get("stream_options").IsObject() {
			return &refusal{Status: http.StatusBadRequest, Param: "stream_options", Message: "The 'stream_options' parameter is only allowed when 'stream' is enabled."}
		}
		return x.chatWhole(body)
	}
	return x.chatStream(body)
}

func chatQuestion(body gjson.Result) question {
	q := question{most: int(body.Get("max_completion_tokens").Int())}
	if q.most == 0 {
		q.most = int(body.Get("max_tokens").Int())
	}
	for _, m := range body.Get("messages").Array() {
		role := m.Get("role").Str
		q.heard = role == "tool"
		for _, text := range texts(m.Get("content")) {
			if role == "system" || role == "developer" {
				q.aside(text)
				continue
			}
			q.say(text)
		}
	}
	for _, t := range body.Get("tools").Array() {
		q.tools = append(q.tools, tool{name: t.Get("function.name").Str, schema: t.Get("function.parameters")})
	}
	choice := body.Get("tool_choice")
	q.quiet, q.pick = choice.Str == "none", choice.Get("function.name").Str
	return q
}

// texts is the texts of a content that is a string or a list of parts.
func texts(content gjson.Result) []string {
	if content.Type == gjson.String {
		return []string{content.Str}
	}
	var out []string
	for _, part := range content.Array() {
		if text := part.Get("text"); text.Exists() {
			out = append(out, text.Str)
		}
	}
	return out
}

func (a answer) finish() string {
	switch {
	case a.call != "":
		return "tool_calls"
	case a.cut:
		return "length"
	}
	return "stop"
}

func (x *exchange) chatWhole(body gjson.Result) error {
	a := chatQuestion(body).answer()
	message := object{"role": "assistant", "content": a.text(), "refusal": nil, "annotations": []any{}}
	if a.call != "" {
		message["content"] = nil
		message["tool_calls"] = []object{{"id": "call_lab_1", "type": "function", "function": object{"name": a.call, "arguments": a.args}}}
	}
	choice := object{"index": 0, "message": message, "logprobs": nil, "finish_reason": a.finish()}
	out := object{
		"id": "chatcmpl-" + x.serial(), "object": "chat.completion", "created": x.v.w.now().Unix(), "model": body.Get("model").Str,
		"choices": []object{choice}, "service_tier": "default", "system_fingerprint": "fp_lab",
	}
	if x.v.Name == "azure" {
		choice["content_filter_results"] = object{}
		out["prompt_filter_results"] = []object{{"prompt_index": 0, "content_filter_results": object{}}}
	}
	if used, told := x.usage(a.in, a.out); told {
		out["usage"] = chatUsage(used)
	}
	return x.reply(out)
}

func chatUsage(u Usage) object {
	return object{
		"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Input + u.Output,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
	}
}

func (x *exchange) chatStream(body gjson.Result) error {
	a := chatQuestion(body).answer()
	asked := body.Get("stream_options.include_usage").Bool()
	id, created := "chatcmpl-"+x.serial(), x.v.w.now().Unix()
	chunk := func(choices ...object) object {
		out := object{"id": id, "object": "chat.completion.chunk", "created": created, "model": body.Get("model").Str, "service_tier": "default", "system_fingerprint": "fp_lab", "choices": choices}
		if choices == nil {
			out["choices"] = []object{}
		}
		if asked {
			out["usage"] = nil
		}
		return out
	}
	delta := func(d object) object {
		return chunk(object{"index": 0, "delta": d, "logprobs": nil, "finish_reason": nil})
	}
	s := x.sse(func(s *stream) error {
		return s.event("", object{"error": object{"message": phrase(500), "type": "server_error", "param": nil, "code": nil}})
	})
	if x.v.Name == "azure" {
		first := chunk()
		first["id"], first["prompt_filter_results"] = "", []object{{"prompt_index": 0, "content_filter_results": object{}}}
		if err := s.event("", first); err != nil {
			return err
		}
	}
	if err := s.chatDeltas(a, delta); err != nil {
		return err
	}
	if err := s.event("", chunk(object{"index": 0, "delta": object{}, "logprobs": nil, "finish_reason": a.finish()})); err != nil {
		return err
	}
	if used, told := x.usage(a.in, a.out); asked && told {
		last := chunk()
		last["usage"] = chatUsage(used)
		if err := s.event("", last); err != nil {
			return err
		}
	}
	return s.raw("", []byte("[DONE]"))
}

// chatDeltas sends the role, then the words or the call.
func (s *stream) chatDeltas(a answer, delta func(object) object) error {
	start := object{"role": "assistant", "content": "", "refusal": nil}
	if a.call != "" {
		start["content"] = nil
		start["tool_calls"] = []object{{"index": 0, "id": "call_lab_1", "type": "function", "function": object{"name": a.call, "arguments": ""}}}
	}
	if err := s.event("", delta(start)); err != nil {
		return err
	}
	if a.call != "" {
		for _, piece := range a.pieces() {
			if err := s.token("", delta(object{"tool_calls": []object{{"index": 0, "function": object{"arguments": piece}}}})); err != nil {
				return err
			}
		}
		return s.tail()
	}
	for _, word := range a.words {
		if err := s.token("", delta(object{"content": word})); err != nil {
			return err
		}
	}
	return s.tail()
}

// openAIError writes {"error":{"message","type","param","code"}}.
func openAIError(x *exchange, r *refusal) {
	kind := r.Kind
	switch {
	case kind != "":
	case r.Status == http.StatusTooManyRequests:
		kind, r.Code = "requests", "rate_limit_exceeded"
	case r.Status >= 500:
		kind = "server_error"
	default:
		kind = "invalid_request_error"
	}
	x.Header().Set("X-Request-Id", "req_"+x.serial())
	x.write(r.Status, object{"error": object{"message": r.Message, "type": kind, "param": orNull(r.Param), "code": orNull(r.Code)}})
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// masked is a key as vendors quote it: its first and last letters.
func masked(key string) string {
	if len(key) < 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + "********" + key[len(key)-4:]
}
