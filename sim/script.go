package sim

import (
	"fmt"
	"strings"
)

// chatScript writes a text reply as chat choices.
func chatScript(tokens []string, finish string, logprobs bool, alternatives int) script {
	logs := func(from, to int) *chatLogprobs {
		if !logprobs {
			return nil
		}
		return newChatLogprobs(tokens, from, to, alternatives)
	}
	s := script{object: "chat.completion", chunkObject: "chat.completion.chunk"}
	s.whole = chatChoice{mark{0, &finish}, message{Role: "assistant", Content: strings.Join(tokens, "")}, logs(0, len(tokens))}
	if len(tokens) == 0 {
		return s
	}
	s.opening = chatDelta{Delta: message{Role: "assistant"}}
	for i, token := range tokens {
		s.pieces = append(s.pieces, chatDelta{mark{0, ending(finish, i, len(tokens))}, message{Content: token}, logs(i, i+1)})
	}
	if finish == stop {
		s.closing = chatDelta{mark: mark{0, &finish}}
	}
	return s
}

// callScript writes tool calls as chat choices. Their stream has one chunk per argument token; the name comes with the
// first chunk of a call, the reason with its last.
func callScript(calls []call, finish string) script {
	s := script{object: "chat.completion", chunkObject: "chat.completion.chunk"}
	s.whole = chatChoice{mark: mark{0, &finish}, Message: message{Role: "assistant", ToolCalls: calls}}
	s.opening = chatDelta{Delta: message{Role: "assistant"}}
	for _, c := range calls {
		tokens := c.Function.TokenizedArguments
		for i, token := range tokens {
			piece := call{Function: callFunction{Arguments: token}, ID: c.ID, Type: c.Type, Index: c.Index}
			if i == 0 {
				piece.Function.Name = c.Function.Name
			}
			s.pieces = append(s.pieces, chatDelta{mark: mark{0, ending(finish, i, len(tokens))}, Delta: message{ToolCalls: []call{piece}}})
		}
	}
	return s
}

// textScript writes a reply as text choices. A nil logprobs asks for none.
func textScript(tokens []string, finish string, logprobs *int) script {
	logs := func(from, to int) *textLogprobs {
		if logprobs == nil {
			return nil
		}
		return newTextLogprobs(tokens, from, to, *logprobs)
	}
	s := script{object: "text_completion", chunkObject: "text_completion"}
	s.whole = textChoice{mark{0, &finish}, strings.Join(tokens, ""), logs(0, len(tokens))}
	for i, token := range tokens {
		s.pieces = append(s.pieces, textChoice{mark{0, ending(finish, i, len(tokens))}, token, logs(i, i+1)})
	}
	if finish == stop && len(tokens) > 0 {
		s.closing = textChoice{mark: mark{0, &finish}}
	}
	return s
}

// ending is the reason on the chunk of token i of n: stop has a chunk of its own, any other comes with the last token.
func ending(finish string, i, n int) *string {
	if finish == stop || i < n-1 {
		return nil
	}
	return &finish
}

// maxAlternatives bounds top_logprobs, as vLLM does.
const maxAlternatives = 20

// logprob is the made-up probability of the token at a position and of its j-th alternative; the token is its own first.
func logprob(position, j int) float64 {
	return [...]float64{-1, -1.1, -1.2}[position%3] - float64(j)*.5
}

func alternative(token string, j int) string {
	if j == 0 {
		return token
	}
	return fmt.Sprintf("%s_%d", token, j)
}

func newChatLogprobs(tokens []string, from, to, alternatives int) *chatLogprobs {
	one := func(position, j int) tokenLogprob {
		token := alternative(tokens[position], j)
		l := tokenLogprob{Token: token, Logprob: logprob(position, j), Bytes: make([]int, len(token))}
		for i := range len(token) {
			l.Bytes[i] = int(token[i])
		}
		return l
	}
	list := make([]chatLogprob, 0, to-from)
	for i := from; i < to; i++ {
		item := chatLogprob{tokenLogprob: one(i, 0), Top: []tokenLogprob{}}
		for j := range min(alternatives, maxAlternatives) {
			item.Top = append(item.Top, one(i, j))
		}
		list = append(list, item)
	}
	return &chatLogprobs{list}
}

func newTextLogprobs(tokens []string, from, to, alternatives int) *textLogprobs {
	l := &textLogprobs{Tokens: tokens[from:to], TokenLogprobs: []float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
	offset := 0
	for i := range to {
		if i >= from {
			top := map[string]float64{}
			for j := range min(alternatives, maxAlternatives) {
				top[alternative(tokens[i], j)] = logprob(i, j)
			}
			l.TokenLogprobs = append(l.TokenLogprobs, logprob(i, 0))
			l.TopLogprobs = append(l.TopLogprobs, top)
			l.TextOffset = append(l.TextOffset, offset)
		}
		offset += len(tokens[i])
	}
	return l
}
