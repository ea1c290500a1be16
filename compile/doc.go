// Package compile turns a snapshot of resources into a plan, and says about
// every object what became of it.
//
//	Gateway ─► listener ◄─ attachment ─ HTTPRoute ─► rule ─► target ─► backend
//	               │                        │
//	               └────── vhost ◄──────────┘      AuthPolicy, RateLimitPolicy,
//	                         ▲                     TokenRateLimitPolicy
//	                         └──── effective policy ◄────┘
//
// Compile is pure: no clock, no network, no cluster, and equal input in any
// order gives a byte-identical plan. A mistake of the user is a condition,
// never an error or a panic, and it stays where it was made: a broken backend
// fails its own share of a rule, a broken rule answers 500 for its own matches,
// a broken policy refuses the requests it was to guard, and all neighbours
// serve as if it were not there.
//
// There is one file per kind of thing: gateway, listener and vhost; route, rule,
// match, filter and host; backend, service, destination, xbackend, mcp, secret
// and grant; clienttls, tlsextension, backendtls and pem for TLS to backends;
// policy, hierarchy, authpolicy, authrule, apikey and limitpolicy.
//
// Out: where resources come from and how conditions become status (source),
// how a plan is served (engine, proxy), and whatever needs a name to be
// resolved: a host stays a name in the plan.
package compile
