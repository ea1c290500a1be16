// Package sdk lets the official clients loose on the gateway: those for Go in
// its tests, those for Python and Node by run.sh.
//
//	client ─► gateway ─► simulator        lists, chats, streams, and the gateway's refusals
//	client ─► gateway ─► vendor's fake    unary, streams, tools, and the vendor's refusals
//	client ─────────────► vendor's fake    the same, by direct.sh: it proves the fakes right
//
// Refusals arrive as the client's own typed errors. On the way to the vendors
// of lab/fake, which are known by their real names and a CA of their own
// (testdata/vendors.yaml), a client has nothing but a MaaS token, where it
// would put its key. The vendors' journals show the platform's keys and nothing
// of the user's; the ledger has what the answers say they cost.
package sdk
