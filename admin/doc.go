// Package admin is the operator's side of a running process: is it alive, is
// it ready, what does it serve, what became of every object, who used what.
//
//	/healthz /readyz            for probes, open
//	/status /plan /explain /usage /metrics   for holders of the admin token
//
// Answers are JSON, or a table for people when the client does not ask for
// JSON. Secrets are in none of them.
package admin
