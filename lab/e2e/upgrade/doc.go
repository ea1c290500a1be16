// Package upgrade tests on a cluster what changes while requests pass: the
// release, the parameters of a fleet, its nodes, who leads, which kinds the API
// server has, and who the controller is.
//
//	previous ─► images and manifests of that commit ─► the quickstart, as it was
//	                                                         │  upgrade, roll, evict, take over
//	            load: calls, streams, minting, models ──────►│
//	                                                         ▼
//	                            no call failed, nothing that restricts was dropped
//
// File "previous" names the commit of the release that upgrades begin from; it
// is changed with every release.
package upgrade
