// Package command is the command line of Egret: flags, signals and wiring, no
// logic of its own.
//
//	args ─► kong ─► a command ─► standalone (quickstart, run)
//	                          ├► source/file, compile (check, plan)
//	                          ├► MaaS API and admin page of a running Egret
//	                          │  (token, keys, models, usage, explain)
//	                          └► sim, policy/ident/local (sim, users)
//
// It is a package apart from the program, so that tests can be egret
// themselves: a test binary that calls Main under another name is a child
// process with the race detector, the coverage and the cache of the test.
package command
