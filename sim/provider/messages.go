package provider

import "net/http"

type messageUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type messageAnswer struct {
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Role         string       `json:"role"`
	Model        string       `json:"model"`
	Content      []textBlock  `json:"content"`
	StopReason   *string      `json:"stop_reason"`
	StopSequence *string      `json:"stop_sequence"`
	Usage        messageUsage `json:"usage"`
}

// messages answers in the shape of Anthropic messages. It insists on what the real one insists on, so that a gateway
// that translates for it is held to it: the version header, max_tokens and at least one message.
func (s *Server) messages(x *exchange) {
	lacks := ""
	switch {
	case x.r.Header.Get("Anthropic-Version") == "":
		lacks = "anthropic-version: header is required"
	case x.request.MaxTokens == nil:
		lacks = "max_tokens: Field required"
	case *x.request.MaxTokens < 1:
		lacks = "max_tokens: must be at least 1"
	case len(x.request.Messages) == 0:
		lacks = "messages: at least one message is required"
	}
	if lacks != "" {
		x.refuse.write(x.w, fault{status: http.StatusBadRequest, kind: "invalid_request_error", message: lacks})
		return
	}
	y := newReply(x.rand)
	a := messageAnswer{
		ID: id(x.rand, "msg_"), Type: "message", Role: "assistant", Model: x.request.Model,
		Content: []textBlock{{"text", y.text}}, StopReason: new("end_turn"),
		Usage: messageUsage{InputTokens: y.input, OutputTokens: y.output},
	}
	if x.request.Stream {
		s.messageStream(x, a, y)
		return
	}
	writeJSON(x.w, http.StatusOK, a)
}

type messageEvent struct {
	Type         string         `json:"type"`
	Message      *messageAnswer `json:"message,omitempty"`
	Index        *int           `json:"index,omitempty"`
	ContentBlock *textBlock     `json:"content_block,omitempty"`
	Delta        any            `json:"delta,omitempty"`
	Usage        any            `json:"usage,omitempty"`
}

// messageStream sends message_start with the input's tokens and message_delta with the output's.
func (s *Server) messageStream(x *exchange, a messageAnswer, y reply) {
	e := s.newEvents(x)
	send := func(m messageEvent) { e.send(m.Type, m) }
	reason := a.StopReason
	a.Content, a.StopReason, a.Usage.OutputTokens = []textBlock{}, nil, 1
	send(messageEvent{Type: "message_start", Message: &a})
	send(messageEvent{Type: "content_block_start", Index: new(0), ContentBlock: &textBlock{Type: "text"}})
	send(messageEvent{Type: "ping"})
	for _, piece := range y.pieces() {
		e.pause()
		send(messageEvent{Type: "content_block_delta", Index: new(0), Delta: textBlock{"text_delta", piece}})
	}
	send(messageEvent{Type: "content_block_stop", Index: new(0)})
	type ending struct {
		StopReason   *string `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	type output struct {
		OutputTokens int `json:"output_tokens"`
	}
	send(messageEvent{Type: "message_delta", Delta: ending{StopReason: reason}, Usage: output{y.output}})
	send(messageEvent{Type: "message_stop"})
}
