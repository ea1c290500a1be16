package dialect

import "strings"

// Dialect names the shape of a request body and of its answer. The zero value means that a call is not an AI call.
type Dialect string

// The dialects that are spoken.
const (
	None              Dialect = ""
	OpenAIChat        Dialect = "openai-chat"
	OpenAICompletions Dialect = "openai-completions"
	OpenAIResponses   Dialect = "openai-responses"
	AnthropicMessages Dialect = "anthropic-messages"
)

// OfPath returns the dialect that a decoded path, without its query, ends in, whatever stands before:
// "/external/openai/v1/chat/completions" is OpenAIChat. Letter case, trailing and double slashes make no difference, because
// some servers ignore them and a call must not escape accounting that way. The messages of an OpenAI thread
// ("/v1/threads/{id}/messages") are not Anthropic messages. The method is the caller's matter.
func OfPath(path string) Dialect {
	path = strings.TrimRight(path, "/")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	switch {
	case endsIn(path, "/chat/completions"):
		return OpenAIChat
	case endsIn(path, "/completions"):
		return OpenAICompletions
	case endsIn(path, "/responses"):
		return OpenAIResponses
	case endsIn(path, "/messages") && !ofThread(path[:len(path)-len("/messages")]):
		return AnthropicMessages
	}
	return None
}

func endsIn(path, end string) bool {
	return len(path) >= len(end) && strings.EqualFold(path[len(path)-len(end):], end)
}

// ofThread reports whether the last but one segment of a path is "threads".
func ofThread(path string) bool {
	id := strings.LastIndexByte(path, '/')
	return id >= 0 && endsIn(path[:id], "/threads")
}

// asksUsage reports whether usage of a stream must be asked for in this dialect, and arrives in a chunk of its own.
func (d Dialect) asksUsage() bool { return d == OpenAIChat || d == OpenAICompletions }
