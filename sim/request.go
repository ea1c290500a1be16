package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBody bounds what is read of a request: far more than any context window that a simulator is given.
const maxBody = 16 << 20

// request holds the fields that chat and text completions have in common. Unknown fields are ignored.
type request struct {
	Model         string `json:"model"`
	MaxTokens     *int   `json:"max_tokens"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	IgnoreEOS bool `json:"ignore_eos"`
	handover
}

type chatRequest struct {
	request
	MaxCompletionTokens *int          `json:"max_completion_tokens"`
	Messages            []chatMessage `json:"messages"`
	Tools               []tool        `json:"tools"`
	ToolChoice          toolChoice    `json:"tool_choice"`
	Logprobs            bool          `json:"logprobs"`
	TopLogprobs         *int          `json:"top_logprobs"`
}

type textRequest struct {
	request
	Prompt   string `json:"prompt"`
	Logprobs *int   `json:"logprobs"`
}

type chatMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is the text of a message: a string, or the text blocks among a list of blocks.
type content string

// UnmarshalJSON reads a string, a list of blocks, or null, which an assistant's tool calls come with.
func (c *content) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("[")) {
		return c.blocks(data)
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("content is neither a string nor a list of blocks")
	}
	*c = content(text)
	return nil
}

func (c *content) blocks(data []byte) error {
	var blocks []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(data, &blocks); err != nil {
		return err
	}
	var texts []string
	for _, b := range blocks {
		switch b.Type {
		case "text":
			texts = append(texts, b.Text)
		case "image_url":
		default:
			return fmt.Errorf("content block type %q is neither text nor image_url", b.Type)
		}
	}
	*c = content(strings.Join(texts, " "))
	return nil
}

// prompt is the text whose tokens count as the prompt's: every message, each followed by a space.
func (q *chatRequest) prompt() string {
	var b strings.Builder
	for _, m := range q.Messages {
		b.WriteString(string(m.Content))
		b.WriteByte(' ')
	}
	return b.String()
}

// lastUser is what echo mode answers with.
func (q *chatRequest) lastUser() string {
	for i := len(q.Messages) - 1; i >= 0; i-- {
		if q.Messages[i].Role == "user" {
			return string(q.Messages[i].Content)
		}
	}
	return ""
}

// readBody reads a bounded body. The Content-Type is not looked at.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *failure) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, refusePlain(http.StatusRequestEntityTooLarge, "the request body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return nil, unreadable("%v", err)
	}
	return body, nil
}

// parseChat reads a chat completion request and checks its tools.
func parseChat(body []byte) (*chatRequest, *failure) {
	var q chatRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, unreadable("%v", err)
	}
	if q.MaxCompletionTokens != nil {
		q.MaxTokens = q.MaxCompletionTokens
	}
	for i := range q.Tools {
		if err := q.Tools[i].check(); err != nil {
			return nil, unreadable("tool %d: %v", i, err)
		}
	}
	if name := q.ToolChoice.name; name != "" && findTool(q.Tools, name) == nil {
		return nil, unreadable("tool_choice asks for function %q, which is not among the tools", name)
	}
	return &q, nil
}

// parseText reads a text completion request. Its prompt must be a string.
func parseText(body []byte) (*textRequest, *failure) {
	var q textRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, unreadable("%v", err)
	}
	return &q, nil
}

// check refuses what vLLM would refuse before it runs a request of so many prompt tokens.
func (q *request) check(promptTokens, maxModelLen int) *failure {
	if q.MaxTokens != nil && *q.MaxTokens <= 0 {
		return refuse(http.StatusBadRequest, "Max completion tokens and max tokens should be positive")
	}
	if q.DoRemoteDecode && q.Stream {
		return refuse(http.StatusBadRequest, "Prefill does not support streaming")
	}
	if q.IgnoreEOS && q.MaxTokens == nil {
		return refuse(http.StatusBadRequest, "ignore_eos is set, but max_completion_tokens is not set")
	}
	// Compared as a difference, so that no max_tokens can overflow the sum.
	if asked := q.limit(); promptTokens > maxModelLen || asked > maxModelLen-promptTokens {
		return refuse(http.StatusBadRequest,
			"This model's maximum context length is %d tokens. However, %d tokens were requested (%d in the messages, %d in the completion). Shorten the messages or the completion.",
			maxModelLen, uint64(promptTokens)+uint64(asked), promptTokens, asked)
	}
	return nil
}

// limit is the most tokens the reply may have, 0 when the request does not say.
func (q *request) limit() int {
	if q.MaxTokens == nil {
		return 0
	}
	return *q.MaxTokens
}
