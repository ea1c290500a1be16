// Package provider is the provider-sim of the proof of concept: a stand-in for OpenAI, Anthropic and their like that
// asks for an API key, answers every question with a canned text and makes its usage numbers up.
//
//	path ending                            answer
//	/v1/chat/completions, /v1/completions  OpenAI chat, unary or streamed
//	/v1/responses                          OpenAI responses, unary or streamed
//	/v1/messages                           Anthropic messages, unary or streamed
//	/v1/models                             the one model
//	/health, /ready                        {"status":"healthy"}, without a key
//
// The key is taken from X-Provider-Api-Key, x-api-key or Authorization: Bearer, the first of them that is there.
// Three request headers drive tests, and only shape the answer to the request that carries them: X-Sim-Echo: headers
// (or body) answers with what arrived, X-Sim-Status: 503 fails, X-Sim-Latency: 200ms waits first. Flags set the last
// two for all requests.
package provider
