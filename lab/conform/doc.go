// Package conform runs one set of scenario files through every data plane and
// expects the same of all: the same answer to the client, the same view of the
// upstream, the same Record.
//
//	testdata/*.txtar ─► manifests ─► source/file ─► compile ─► plan ─┬─► native:    proxy.Server
//	                 └► script ─► client ─► Body ────────────────────┴─► processor: Envoy's message order
//	                              scripted upstream ◄─────────────────────┤
//	                                                                      └─► envoy:     real Envoys, extproc beside them
//
// A file begins with its title, which carries acceptance numbers, and perhaps
// with a line "with: a b" that adds testdata/share/a.yaml and b.yaml, and one
// "installed: c/d" that adds manifests/c/d.yaml of the repository, or "example:
// e/f" that adds examples/e/f.yaml. Its part
// manifests.yaml is what a user would apply; script.yaml is a list of steps,
// each a request, the behaviour of the upstream, and what is expected of
// answer, upstream view and Record (Step has the fields). Expectations name
// what matters; everything else must merely be the same in both bodies.
//
// Hosts under ".tls.example.com" prove themselves with certificates (pki), and
// TLS is really spoken to them; to all others it is left out.
//
// Every run has a clock of its own that moves when nothing else does
// (testing/synctest), so windows end and time-outs fire without anybody
// waiting. All connections are in memory.
//
// The processor is not Envoy: it drives the engine in the order in which an
// external processor gets to see a request, knows the request as a list of
// pseudo-headers and headers only, and finds the entry with a matcher of its
// own, as Envoy does. It shows what any external processor could do, on the
// scripted clock.
//
// The envoys are both ends of what the project promises to work with. They have
// processes and sockets, so their runs have a clock that stands still
// but for the script's pauses, and Envoy's own time-outs take the time that they
// take. What they do otherwise than the native plane is listed (differences),
// with the reason; all else must be the same.
package conform
