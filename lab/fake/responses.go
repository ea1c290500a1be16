package fake

import "github.com/tidwall/gjson"

// responses is the Responses API of OpenAI.
func (x *exchange) responses() error {
	if err := x.openAIBody("responses"); err != nil {
		return err
	}
	body := gjson.ParseBytes(x.body)
	a := responsesQuestion(body).answer()
	id := "resp_" + x.serial()
	if !body.Get("stream").Bool() {
		out := x.response(id, body, a, "completed")
		out["output"] = []object{responsesItem(a, "completed")}
		if used, told := x.usage(a.in, a.out); told {
			out["usage"] = responsesUsage(used)
		}
		return x.reply(out)
	}
	return x.responsesStream(id, body, a)
}

func responsesQuestion(body gjson.Result) question {
	q := question{most: int(body.Get("max_output_tokens").Int())}
	if text := body.Get("instructions").Str; text != "" {
		q.aside(text)
	}
	input := body.Get("input")
	if input.Type == gjson.String {
		q.say(input.Str)
	} else {
		for _, item := range input.Array() {
			q.heard = item.Get("type").Str == "function_call_output"
			content := item.Get("content")
			if q.heard {
				content = item.Get("output")
			}
			for _, text := range texts(content) {
				if role := item.Get("role").Str; role == "system" || role == "developer" {
					q.aside(text)
					continue
				}
				q.say(text)
			}
		}
	}
	for _, t := range body.Get("tools").Array() {
		q.tools = append(q.tools, tool{name: t.Get("name").Str, schema: t.Get("parameters")})
	}
	choice := body.Get("tool_choice")
	q.quiet, q.pick = choice.Str == "none", choice.Get("name").Str
	return q
}

// response is a response object without output and usage.
func (x *exchange) response(id string, body gjson.Result, a answer, status string) object {
	var why any
	if a.cut && status == "completed" {
		status, why = "incomplete", object{"reason": "max_output_tokens"}
	}
	return object{
		"id": id, "object": "response", "created_at": x.v.w.now().Unix(), "status": status, "error": nil, "incomplete_details": why,
		"instructions": body.Get("instructions").Value(), "max_output_tokens": body.Get("max_output_tokens").Value(), "model": body.Get("model").Str,
		"output": []object{}, "parallel_tool_calls": true, "previous_response_id": nil, "store": true, "temperature": 1.0, "text": object{"format": object{"type": "text"}},
		"tool_choice": "auto", "tools": []object{}, "top_p": 1.0, "truncation": "disabled", "usage": nil, "user": nil, "metadata": object{},
	}
}

func responsesItem(a answer, status string) object {
	if a.call != "" {
		return object{"type": "function_call", "id": "fc_lab_1", "call_id": "call_lab_1", "name": a.call, "arguments": a.args, "status": status}
	}
	return object{"type": "message", "id": "msg_lab_1", "status": status, "role": "assistant", "content": []object{textPart(a.text())}}
}

func textPart(text string) object {
	return object{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

func responsesUsage(u Usage) object {
	return object{
		"input_tokens": u.Input, "input_tokens_details": object{"cached_tokens": 0},
		"output_tokens": u.Output, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": u.Input + u.Output,
	}
}

// numbered is a stream whose events name themselves and count.
type numbered struct {
	*stream
	n int
}

func (s *numbered) stamp(kind string, more object) object {
	more["type"], more["sequence_number"] = kind, s.n
	s.n++
	return more
}

func (s *numbered) send(kind string, more object) error { return s.event(kind, s.stamp(kind, more)) }

// sendAll sends events up to the first that fails.
func (s *numbered) sendAll(events ...named) error {
	for _, e := range events {
		if err := s.send(e.kind, e.fields); err != nil {
			return err
		}
	}
	return nil
}

type named struct {
	kind   string
	fields object
}

func (x *exchange) responsesStream(id string, body gjson.Result, a answer) error {
	s := &numbered{}
	s.stream = x.sse(func(*stream) error {
		return s.send("error", object{"code": "server_error", "message": phrase(500), "param": nil})
	})
	begun := func() object { return object{"response": x.response(id, body, a, "in_progress")} }
	if err := s.sendAll(named{"response.created", begun()}, named{"response.in_progress", begun()}); err != nil {
		return err
	}
	item := responsesItem(answer{call: a.call}, "in_progress")
	if a.call == "" {
		item["content"] = []object{}
	}
	if err := s.send("response.output_item.added", object{"output_index": 0, "item": item}); err != nil {
		return err
	}
	say := s.words
	if a.call != "" {
		say = s.arguments
	}
	if err := say(a); err != nil {
		return err
	}
	done := x.response(id, body, a, "completed")
	done["output"] = []object{responsesItem(a, "completed")}
	if used, told := x.usage(a.in, a.out); told {
		done["usage"] = responsesUsage(used)
	}
	last := "response.completed"
	if a.cut {
		last = "response.incomplete"
	}
	return s.sendAll(named{"response.output_item.done", object{"output_index": 0, "item": responsesItem(a, "completed")}}, named{last, object{"response": done}})
}

func (s *numbered) words(a answer) error {
	at := func(more object) object {
		more["item_id"], more["output_index"], more["content_index"] = "msg_lab_1", 0, 0
		return more
	}
	if err := s.send("response.content_part.added", at(object{"part": textPart("")})); err != nil {
		return err
	}
	const kind = "response.output_text.delta"
	for _, word := range a.words {
		if err := s.token(kind, s.stamp(kind, at(object{"delta": word, "logprobs": []any{}}))); err != nil {
			return err
		}
	}
	if err := s.tail(); err != nil {
		return err
	}
	return s.sendAll(named{"response.output_text.done", at(object{"text": a.text(), "logprobs": []any{}})}, named{"response.content_part.done", at(object{"part": textPart(a.text())})})
}

func (s *numbered) arguments(a answer) error {
	const kind = "response.function_call_arguments.delta"
	for _, piece := range a.pieces() {
		if err := s.token(kind, s.stamp(kind, object{"item_id": "fc_lab_1", "output_index": 0, "delta": piece})); err != nil {
			return err
		}
	}
	if err := s.tail(); err != nil {
		return err
	}
	return s.send("response.function_call_arguments.done", object{"item_id": "fc_lab_1", "output_index": 0, "name": a.call, "arguments": a.args})
}
