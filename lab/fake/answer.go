package fake

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// Tokens is what a text costs: one token per word.
func Tokens(text string) int { return len(strings.Fields(text)) }

// question is what was asked, in no vendor's words.
type question struct {
	texts []string // everything that was said, which is what the prompt costs
	last  string   // what is repeated
	heard bool     // the last message is a tool's result
	tools []tool
	quiet bool   // the client wants no tool called
	pick  string // the tool the client wants called; "" for the first
	most  int    // tokens of the answer; 0 for no limit
}

// tool is a function that the client can call for the model.
type tool struct {
	name   string
	schema gjson.Result // of its arguments
}

// say adds a text to the prompt, as the latest thing that was said.
func (q *question) say(text string) {
	q.texts = append(q.texts, text)
	q.last = text
}

// aside adds a text to the prompt that is not repeated: a system prompt.
func (q *question) aside(text string) { q.texts = append(q.texts, text) }

// answer is what a fake model says, in no vendor's words.
type answer struct {
	words []string // the text, a word and the space before it each
	call  string   // the tool that is called instead; "" for none
	args  string   // its arguments, JSON
	cut   bool     // there was more to say than the client allowed
	in    int
	out   int
}

// text is all words.
func (a answer) text() string { return strings.Join(a.words, "") }

// answer repeats the last thing that was said, or calls a tool where one is
// offered and none has answered yet.
func (q question) answer() answer {
	var a answer
	for _, text := range q.texts {
		a.in += Tokens(text)
	}
	if t := q.chosen(); t != nil {
		a.call, a.args = t.name, t.arguments(q.last)
		a.out = Tokens(a.args)
		return a
	}
	for i, word := range strings.Fields(q.last) {
		if i > 0 {
			word = " " + word
		}
		a.words = append(a.words, word)
	}
	if len(a.words) == 0 {
		a.words = []string{"Hello"}
	}
	if q.most > 0 && len(a.words) > q.most {
		a.words, a.cut = a.words[:q.most], true
	}
	a.out = len(a.words)
	return a
}

func (q question) chosen() *tool {
	if q.quiet || q.heard {
		return nil
	}
	for i := range q.tools {
		if q.pick == "" || q.tools[i].name == q.pick {
			return &q.tools[i]
		}
	}
	return nil
}

// arguments fills what the tool's schema requires: strings with the words of
// the prompt, numbers with 1.
func (t tool) arguments(said string) string {
	args := object{}
	for _, name := range t.schema.Get("required").Array() {
		switch t.schema.Get("properties." + gjson.Escape(name.Str) + ".type").Str {
		case "number", "integer", "NUMBER", "INTEGER":
			args[name.Str] = 1
		case "boolean", "BOOLEAN":
			args[name.Str] = true
		case "array", "ARRAY":
			args[name.Str] = []any{}
		case "object", "OBJECT":
			args[name.Str] = object{}
		default:
			args[name.Str] = said
		}
	}
	return string(encode(args))
}

// pieces cuts the arguments of a call in two, so that streams have to be put
// together again.
func (a answer) pieces() []string {
	half := len(a.args) / 2
	return []string{a.args[:half], a.args[half:]}
}

// parsed is the arguments as an object.
func (a answer) parsed() json.RawMessage { return json.RawMessage(a.args) }
