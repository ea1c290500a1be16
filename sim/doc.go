// Package sim is an inference simulator: it answers like a vLLM server and runs no model. Its wire shapes,
// flags and metrics are those of llm-d-inference-sim v0.6.1, which the quickstart deploys as its external provider.
//
//	args, YAML ─► Parse ─► Config ─► New ─► Server ─┬─ Handler: rank 0, for use inside another process
//	                                                └─ Run / Serve: one listener per data-parallel rank, drained at the end
//
//	request ─► fault? ─► read ─► check ─► compose the reply ─► queue (seats, adapters) ─► play it token by token
//
// A request is served by its own goroutine; the queue only hands out seats, so nothing runs when nobody asks.
// A request's whole randomness comes from one source that is seeded on its arrival: with a seed, the same calls in the
// same order get the same texts and ids, however slowly they are played.
//
// Left out on purpose: no KV-cache events are published (the cache is simulated for prefill time and metrics only, and
// the ZMQ flags are checked and otherwise unused), no dataset of recorded conversations (its flags are refused at
// start), and no model tokenizer, so /tokenize answers as it does for a model nobody knows. The provider-sim of the
// proof of concept, which also speaks the shapes of OpenAI responses and Anthropic messages, is package provider.
package sim
