// Package rule evaluates what policies write down: CEL expressions and
// predicates, gjson selectors and templates, and Authorino's patterns.
//
//	plan.Value   ─► NewValue    ─► Value.Eval / Value.Text
//	plan.Pattern ─► NewPatterns ─► Patterns.Hold
//	CEL source   ─► Compile     ─► Program.Eval / Program.True
//	                                   ▲
//	             Input: request, source, auth, bodies
//
// In: the variables of Kuadrant's well-known attributes, RFC 6901 pointers
// into bodies, the CEL strings, lists and sets extensions. Out: what a false
// predicate or a failed expression means; callers decide that, and an error
// never comes with a true answer.
//
// Compiled forms are immutable and safe for concurrent use. Nothing of a
// request is converted before an expression asks for it. CEL is used here and
// nowhere else.
package rule
