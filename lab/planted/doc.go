// Command planted shows that the tests hold what they say: it puts each defect
// that the reference controller is known for into today's code, one at a time,
// and runs the test that names it, which must then fail.
//
//	go run ./lab/planted            # every defect; a line for each, and how long it took
//	go run ./lab/planted B-24 B-02  # some of them
//	go run ./lab/planted -page      # rewrite docs/defects.md and nothing else
//
// The defects are files in folder defects: what the reference does, what Egret
// does, the test, and the edits that plant it. Nothing is written to the tree:
// edits are laid over it (go help build, -overlay), embedded files included.
// Every test must pass without its defect, and with it fail by an assertion in
// a test with the defect's number in its name. A build that fails proves
// nothing, nor does a panic, unless the defect is one.
//
// That the edits still fit the code, and that no defect of the list has been
// forgotten, is looked after by this folder's own test, in no time.
package main
