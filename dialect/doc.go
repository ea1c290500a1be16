// Package dialect knows the shapes of AI calls on the wire: OpenAI chat completions, OpenAI completions, OpenAI responses and
// Anthropic messages.
//
// A call passes through it in this order:
//
//	path ─► OfPath ─► Dialect
//	request body ─► Read ─► Call            which model, streamed or not, how much text
//	             ─► SetModel, AskUsage      the bytes for the provider: one value changed, the rest as it came
//	response body ─► Reply.Next … ─► client the same bytes, read as they pass
//	                 Reply.Usage            the provider's own numbers, or
//	                 Reply.Estimate         a guess from the text that passed
//	refusal ─► Error, ErrorEvent            what the official clients turn into their typed errors
//
// Nothing is decoded into maps or structs and re-encoded: one scanner walks the JSON in place, so unknown and future fields
// survive, and an event that passes costs no allocation. Everything is bounded: nesting, held bytes, names.
//
// Out of scope: translation between dialects, where a provider is served and how one signs in, counting tokens with a
// tokenizer, and compressed bodies (ask the provider for identity encoding).
package dialect
