// Package sight is what a data plane has last seen of the backends it calls:
// where their names lead, whether connections to them succeed and until when
// their certificates hold, and whether a provider takes the platform's
// credential. It also counts whom policies have refused.
//
//	engine   ─ answers, failures, refusals ─► Book ─► Facts    ─► status of the backend's object, metrics, admin page
//	resolver ─ addresses ───────────────────►      ─► Refusals ─► Events on the policy
//
// A fact is the last of its kind, never an average, and says when it was so.
// Nothing is asked of a backend for it: who calls none learns nothing. A
// request notes its answer without a lock, and at most once a second.
//
// In: facts, and the conditions they become. Out: how a pod tells its controller
// (feed), who writes status (controller).
package sight
