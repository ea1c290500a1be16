package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// completion is one accepted request with the reply it will get.
type completion struct {
	rand      *rand.Rand
	request   *request
	arrived   time.Time
	model     string // as answers show it
	adapter   string // "" for the base model
	prompt    []string
	cacheable bool // whether the prompt goes through the simulated KV cache
	tokens    int  // of the reply
	finish    string
	script    script
}

// script is a reply in the shape of its endpoint: whole, and cut into the choices of a stream.
type script struct {
	object, chunkObject string
	whole               any   // the choice of a unary answer
	opening             any   // before the first token, or nil
	pieces              []any // one per token
	closing             any   // behind the last token, or nil
}

func (k *rank) chat(w http.ResponseWriter, r *http.Request) {
	k.complete(w, r, func(rng *rand.Rand, body []byte) (*completion, *failure) {
		q, failed := parseChat(body)
		if failed != nil {
			return nil, failed
		}
		c, failed := k.accept(rng, &q.request, q.prompt())
		if failed != nil {
			return nil, failed
		}
		c.compose(&k.cfg, q)
		return c, nil
	})
}

func (k *rank) text(w http.ResponseWriter, r *http.Request) {
	k.complete(w, r, func(rng *rand.Rand, body []byte) (*completion, *failure) {
		q, failed := parseText(body)
		if failed != nil {
			return nil, failed
		}
		c, failed := k.accept(rng, &q.request, q.Prompt)
		if failed != nil {
			return nil, failed
		}
		c.cacheable = true
		reply := c.reply(&k.cfg, q.Prompt)
		c.script = textScript(reply, c.finish, q.Logprobs)
		return c, nil
	})
}

// complete takes a request through all its steps. An injected failure comes before anything is looked at.
func (k *rank) complete(w http.ResponseWriter, r *http.Request, accept func(*rand.Rand, []byte) (*completion, *failure)) {
	k.stamp(w.Header())
	rng := k.arrive()
	if failed := inject(rng, &k.cfg); failed != nil {
		failed.write(w)
		return
	}
	body, failed := readBody(w, r)
	if failed != nil {
		failed.write(w)
		return
	}
	c, failed := accept(rng, body)
	if failed != nil {
		failed.write(w)
		return
	}
	switch err := k.queue.enter(r.Context(), c.adapter); {
	case errors.Is(err, errFull):
		refusePlain(http.StatusTooManyRequests, "The request was refused: %v", err).write(w)
		return
	case err != nil:
		return // the client left the line
	}
	defer k.queue.leave(c.adapter)
	k.play(w, r, c)
}

// stamp says which pod answers.
func (k *rank) stamp(h http.Header) {
	if k.cfg.PodName != "" {
		h.Set("x-inference-pod", k.cfg.PodName)
		h.Set("x-inference-port", k.port)
	}
	if k.cfg.PodNamespace != "" {
		h.Set("x-inference-namespace", k.cfg.PodNamespace)
	}
}

// accept checks what is common to both endpoints.
func (k *rank) accept(rng *rand.Rand, q *request, prompt string) (*completion, *failure) {
	shown, adapter, failed := k.resolve(q.Model)
	if failed != nil {
		return nil, failed
	}
	c := &completion{rand: rng, request: q, arrived: k.cfg.Now(), model: shown, adapter: adapter, prompt: Tokens(prompt)}
	return c, q.check(len(c.prompt), k.cfg.MaxModelLen)
}

// compose makes the reply to a chat: tool calls or a text.
func (c *completion) compose(cfg *Config, q *chatRequest) {
	g := caller{Rand: c.rand, cfg: cfg, values: maxValues}
	if calls := g.calls(q.Tools, q.ToolChoice); len(calls) > 0 {
		for _, call := range calls {
			c.tokens += callOverhead + len(call.Function.TokenizedArguments)
		}
		c.ends(toolCalls)
		c.script = callScript(calls, c.finish)
		return
	}
	alternatives := 0
	if q.Logprobs {
		alternatives = 1
		if q.TopLogprobs != nil {
			alternatives = *q.TopLogprobs
		}
	}
	c.script = chatScript(c.reply(cfg, q.lastUser()), c.finish, q.Logprobs, alternatives)
}

// reply makes the text and decides why it ends.
func (c *completion) reply(cfg *Config, said string) []string {
	tokens, finish := c.speak(cfg, said)
	c.tokens = len(tokens)
	c.ends(finish)
	return tokens
}

func (c *completion) speak(cfg *Config, said string) (tokens []string, finish string) {
	limit := c.request.limit()
	if cfg.Mode == "random" {
		n, finish := draw(c.rand, limit, c.request.IgnoreEOS)
		return compose(c.rand, n), finish
	}
	tokens = Tokens(said)
	if limit > 0 && limit < len(tokens) {
		return tokens[:limit], length
	}
	return tokens, stop
}

// ends notes why the reply ends, which for a prefill is always that another server decodes.
func (c *completion) ends(finish string) {
	c.finish = finish
	if c.request.DoRemoteDecode {
		c.finish = remoteDecode
	}
}

// steps is how many tokens the client is made to wait for. Streamed calls have no chunk for what they cost beside their
// arguments.
func (c *completion) steps() int {
	if c.request.Stream {
		return len(c.script.pieces)
	}
	return c.tokens
}

func (c *completion) usage() usage {
	return usage{len(c.prompt), c.tokens, len(c.prompt) + c.tokens}
}

// answer wraps choices; each answer and each chunk has an id of its own.
func (c *completion) answer(object string, created time.Time, choices ...any) answer {
	a := answer{ID: "chatcmpl-" + uuid(c.rand), Created: created.Unix(), Model: c.model, Object: object, Choices: choices}
	if c.request.DoRemoteDecode {
		a.handover = prefilled()
	}
	if choices == nil {
		a.Choices = []any{}
	}
	return a
}

// uuid draws a version 4 UUID.
func uuid(r *rand.Rand) string {
	high, low := r.Uint64(), r.Uint64()
	high = high&^0xf000 | 0x4000
	low = low&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&(1<<48-1))
}
