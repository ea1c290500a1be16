// Package sdk proves the fakes of lab/fake right: each vendor's own client for
// Go speaks to its fake directly, with no gateway between. What an SDK sends
// is what the fake must take, and what the fake answers is what the SDK must
// understand: unary, streamed, with tools, and errors as the SDK's own type.
// It is a module of its own, so that these clients stay out of Egret's
// dependencies. Run it with make vendors.
package sdk
