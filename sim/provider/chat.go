package provider

import (
	"fmt"
	"net/http"
)

type chatUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

type chatMessage struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
}

type chatChoice struct {
	Index        int          `json:"index"`
	Message      *chatMessage `json:"message,omitempty"`
	Delta        *chatMessage `json:"delta,omitempty"`
	FinishReason *string      `json:"finish_reason"`
}

type chatAnswer struct {
	ID      string       `json:"id"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Object  string       `json:"object"`
	Usage   *chatUsage   `json:"usage,omitempty"`
	Choices []chatChoice `json:"choices"`
}

// chat answers in the shape of OpenAI chat completions, also for text completions.
func (s *Server) chat(x *exchange) {
	y := newReply(x.rand)
	a := chatAnswer{ID: fmt.Sprintf("chatcmpl-%d", x.now.UnixNano()), Created: x.now.Unix(), Model: x.request.Model, Object: "chat.completion"}
	usage := &chatUsage{y.input, y.output, y.input + y.output}
	if x.request.Stream {
		s.chatStream(x, a, y, usage)
		return
	}
	a.Usage = usage
	a.Choices = []chatChoice{{Message: &chatMessage{"assistant", y.text}, FinishReason: new("stop")}}
	writeJSON(x.w, http.StatusOK, a)
}

// chatStream sends role, pieces, reason, and usage where stream_options asks for it.
func (s *Server) chatStream(x *exchange, a chatAnswer, y reply, usage *chatUsage) {
	e := s.newEvents(x)
	a.Object = "chat.completion.chunk"
	chunk := func(delta chatMessage, reason *string) {
		a.Choices = []chatChoice{{Delta: &delta, FinishReason: reason}}
		e.send("", a)
	}
	chunk(chatMessage{Role: "assistant"}, nil)
	for _, piece := range y.pieces() {
		e.pause()
		chunk(chatMessage{Content: piece}, nil)
	}
	chunk(chatMessage{}, new("stop"))
	if x.request.StreamOptions.IncludeUsage {
		a.Choices, a.Usage = []chatChoice{}, usage
		e.send("", a)
	}
	e.raw("", "[DONE]")
}
