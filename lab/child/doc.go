// Package child runs egret as processes of a test.
//
//	TestMain ─► child.Main ─┬─ as itself: runs the tests
//	                        └─ called "egret": is egret
//	a test ─► child.Quickstart, child.Run ─► Process ─► addresses, token, metrics, log
//
// The program under test is the test binary itself under another name. So it
// is built once per test package, has the test's race detector, and Go's cache
// of test results knows when it changed.
//
// A process ends with its test, and its log is shown when the test failed.
// Waiting is polling with a deadline on what a user could see.
package child
