package provider

import "net/http"

type responseAnswer struct {
	ID                 string         `json:"id"`
	Object             string         `json:"object"`
	CreatedAt          int64          `json:"created_at"`
	Status             string         `json:"status"`
	Error              *string        `json:"error"`
	IncompleteDetails  *string        `json:"incomplete_details"`
	Instructions       *string        `json:"instructions"`
	Model              string         `json:"model"`
	Output             []outputItem   `json:"output"`
	ParallelToolCalls  bool           `json:"parallel_tool_calls"`
	PreviousResponseID *string        `json:"previous_response_id"`
	ToolChoice         string         `json:"tool_choice"`
	Tools              []string       `json:"tools"`
	Usage              *responseUsage `json:"usage"` // null until the response is complete
}

type outputItem struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string   `json:"type"`
	Text        string   `json:"text"`
	Annotations []string `json:"annotations"`
}

type responseUsage struct {
	InputTokens  int `json:"input_tokens"`
	InputDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens  int `json:"output_tokens"`
	OutputDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

func newOutputText(s string) outputText { return outputText{"output_text", s, []string{}} }

// responses answers in the shape of OpenAI responses.
func (s *Server) responses(x *exchange) {
	y := newReply(x.rand)
	a := responseAnswer{
		ID: id(x.rand, "resp_"), Object: "response", CreatedAt: x.now.Unix(), Status: "in_progress", Model: x.request.Model,
		Output: []outputItem{}, ParallelToolCalls: true, ToolChoice: "auto", Tools: []string{},
	}
	done := a
	done.Status = "completed"
	done.Output = []outputItem{{id(x.rand, "msg_"), "message", "completed", "assistant", []outputText{newOutputText(y.text)}}}
	done.Usage = &responseUsage{InputTokens: y.input, OutputTokens: y.output, TotalTokens: y.input + y.output}
	if x.request.Stream {
		s.responseStream(x, a, done, y)
		return
	}
	writeJSON(x.w, http.StatusOK, done)
}

type responseEvent struct {
	Type           string          `json:"type"`
	SequenceNumber int             `json:"sequence_number"`
	Response       *responseAnswer `json:"response,omitempty"`
	ItemID         string          `json:"item_id,omitempty"`
	OutputIndex    *int            `json:"output_index,omitempty"`
	ContentIndex   *int            `json:"content_index,omitempty"`
	Item           *outputItem     `json:"item,omitempty"`
	Part           *outputText     `json:"part,omitempty"`
	Delta          *string         `json:"delta,omitempty"`
	Text           *string         `json:"text,omitempty"`
}

// responseStream tells how a response comes about, from its first state to its last, with everything in it opened,
// filled and closed in between.
func (s *Server) responseStream(x *exchange, first, last responseAnswer, y reply) {
	e := s.newEvents(x)
	sequence := 0
	send := func(v responseEvent) {
		v.SequenceNumber = sequence
		sequence++
		e.send(v.Type, v)
	}
	item := last.Output[0]
	open := item
	open.Status, open.Content = "in_progress", []outputText{}
	empty, full := newOutputText(""), newOutputText(y.text)
	zero := new(0)

	send(responseEvent{Type: "response.created", Response: &first})
	send(responseEvent{Type: "response.in_progress", Response: &first})
	send(responseEvent{Type: "response.output_item.added", OutputIndex: zero, Item: &open})
	send(responseEvent{Type: "response.content_part.added", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Part: &empty})
	for _, piece := range y.pieces() {
		e.pause()
		send(responseEvent{Type: "response.output_text.delta", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Delta: &piece})
	}
	send(responseEvent{Type: "response.output_text.done", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Text: &y.text})
	send(responseEvent{Type: "response.content_part.done", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Part: &full})
	send(responseEvent{Type: "response.output_item.done", OutputIndex: zero, Item: &item})
	send(responseEvent{Type: "response.completed", Response: &last})
}
