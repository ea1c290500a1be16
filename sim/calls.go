package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// callOverhead is what a call costs beside its arguments, in tokens.
const callOverhead = 3

// caller makes tool calls up from the tools of a request.
type caller struct {
	*rand.Rand
	cfg    *Config
	values int // what is left of maxValues
}

// calls draws the calls of a reply. None means that the reply is a text.
func (g *caller) calls(tools []tool, choice toolChoice) []call {
	if len(tools) == 0 || choice.mode == "none" {
		return nil
	}
	if choice.name != "" {
		return []call{g.call(findTool(tools, choice.name), 0)}
	}
	n := g.IntN(len(tools) + 1)
	if choice.mode == "required" {
		n = 1 + g.IntN(len(tools))
	}
	calls := make([]call, n)
	for i := range calls {
		calls[i] = g.call(&tools[g.IntN(len(tools))], i)
	}
	return calls
}

func (g *caller) call(t *tool, index int) call {
	arguments, err := json.Marshal(g.object(t.Function.Parameters, g.cfg.ToolCallNotRequiredParamProbability))
	if err != nil {
		panic("BUG: made-up arguments are not JSON: " + err.Error())
	}
	return call{
		Function: callFunction{
			Name:               &t.Function.Name,
			Arguments:          string(arguments),
			TokenizedArguments: Tokens(string(arguments)),
		},
		ID:    fmt.Sprintf("chatcmpl-tool-%010d", g.Int64N(1e10)),
		Type:  "function",
		Index: index,
	}
}

// object draws the required properties and, each with the given chance in percent, the others. Properties are drawn in
// the order of their names, so that a seed decides them.
func (g *caller) object(s *schema, chance int) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || g.IntN(100) < chance {
			object[name] = g.value(s.Properties[name])
		}
	}
	return object
}

func (g *caller) value(s *schema) any {
	g.values--
	if len(s.Enum) > 0 {
		return s.Enum[g.IntN(len(s.Enum))]
	}
	switch s.Type {
	case "string":
		return word(g.Rand)
	case "integer":
		low, high := g.cfg.MinToolCallIntegerParam, g.cfg.MaxToolCallIntegerParam
		return low + g.IntN(high-low+1)
	case "number":
		low, high := g.cfg.MinToolCallNumberParam, g.cfg.MaxToolCallNumberParam
		return low + g.Float64()*(high-low)
	case "boolean":
		return g.IntN(2) == 0
	case "array":
		return g.array(s)
	case "object":
		return g.object(s, g.cfg.ObjectToolCallNotRequiredFieldProbability)
	}
	return nil
}

// array draws as many items as the schema, else the flags, allow, and stops early when the reply has become too large.
func (g *caller) array(s *schema) []any {
	least, most := g.cfg.MinToolCallArrayParamLength, g.cfg.MaxToolCallArrayParamLength
	if s.MinItems != nil {
		least = *s.MinItems
		most = max(most, least)
	}
	if s.MaxItems != nil {
		most = *s.MaxItems
		least = min(least, most)
	}
	items := []any{}
	for n := least + g.IntN(most-least+1); n > 0 && g.values > 0; n-- {
		items = append(items, g.value(s.Items))
	}
	return items
}

// word draws the value of a string parameter.
func word(r *rand.Rand) string {
	words := [...]string{"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty"}
	return words[r.IntN(len(words))]
}
