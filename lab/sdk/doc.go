// Package sdk lets the official clients loose on the gateway: those for Go in
// its tests, those for Python and Node by run.sh. They list, chat and stream,
// and get refusals as their own typed errors. direct.sh lets the clients for
// Python and Node loose on the fake vendors of lab/fake instead, which proves
// those right.
package sdk
