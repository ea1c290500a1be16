package telemetry

import (
	"log/slog"
	"sync"
	"time"

	"github.com/egret-gateway/egret/engine"
)

// Between two lines about one backend that cannot be called passes a while, and
// so many backends are told apart.
const (
	troubleEvery = 10 * time.Second
	mostTroubles = 1024
)

// Trouble tells of backends that cannot be called, such as one whose
// certificate is not believed: a line for the first call that fails, and at most
// one each ten seconds after it, with how many calls it stands for. Who wants a
// line per call has the access log.
type Trouble struct {
	Log *slog.Logger
	Now func() time.Time // nil = time.Now

	mu   sync.Mutex
	seen map[trouble]*troubled
}

type trouble struct{ backend, code string }

type troubled struct {
	said   time.Time
	unsaid int // calls since then
}

// Record tells of r, if it is one.
func (t *Trouble) Record(r *engine.Record) {
	switch engine.Failure(r.Code) {
	case engine.NoEndpoint, engine.NoConnect, engine.NoAnswer, engine.NoTime, "no_credential":
	default:
		return
	}
	if r.Backend == "" {
		return
	}
	if calls := t.due(trouble{r.Backend, r.Code}); calls > 0 {
		t.Log.Warn("a backend cannot be called", "backend", r.Backend, "route", r.Route, "code", r.Code, "status", r.Status, "calls", calls, "reason", logged(r.Reason))
	}
}

// due returns how many calls a line would stand for; 0 when there is to be none
// yet.
func (t *Trouble) due(of trouble) (calls int) {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) > mostTroubles {
		t.seen = map[trouble]*troubled{}
	}
	was := t.seen[of]
	if was == nil {
		t.seen[of] = &troubled{said: now()}
		return 1
	}
	was.unsaid++
	if now().Sub(was.said) < troubleEvery {
		return 0
	}
	calls, was.unsaid, was.said = was.unsaid, 0, now()
	return calls
}
