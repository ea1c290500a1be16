package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/egret-gateway/egret/policy/quota"
)

const (
	dialTimeout    = 500 * time.Millisecond
	idle           = 4                      // connections that are opened ahead
	commandTimeout = 250 * time.Millisecond // of one call, whatever it waits for
	probeEvery     = time.Second            // while the counters are out of reach, and between deliveries
	drainTimeout   = 2 * time.Second        // for delivery when Run ends
)

//go:embed window.lua
var windowScript string

//go:embed reserve.lua
var reserveScript string

//go:embed settle.lua
var settleScript string

// Options are the settings of a Limiter. The zero value works.
type Options struct {
	// Prefix begins every key, as a hash tag: replicas that share budgets have
	// the same. By default "egret".
	Prefix string
	// Roots verify the server's certificate (rediss); nil = the system's.
	Roots *x509.CertPool
	// Pool is the largest number of connections to one server, by default 64.
	Pool int
	// Backlog is how many charges are kept while the counters are out of
	// reach, those of one bucket counting as one; by default 100,000 (about
	// 300 bytes each).
	Backlog int
	Now     func() time.Time // age of what is kept; nil = time.Now
	Log     *slog.Logger     // that the counters went away and came back; nil = slog.Default()
}

// Limiter is a quota.Limiter whose windows are in Redis. It is safe for
// concurrent use. Run must be running for as long as it is used.
type Limiter struct {
	client   goredis.UniversalClient
	reserve  *goredis.Script
	settle   *goredis.Script
	name     string // of the server, without credentials
	tag      string // what every key begins with
	instance string // tells the tickets of replicas apart
	serial   atomic.Uint64
	now      func() time.Time
	clock    func() string // the time in microseconds; "" = the server's
	log      *slog.Logger
	breaker  breaker
	backlog  backlog

	mu    sync.Mutex
	stale []string // numbers of settlements whose answer came: their marks may go
}

var _ quota.Limiter = (*Limiter)(nil)

// Open returns a limiter for the counters at an address:
//
//	redis://user:password@host:port/db         one server, or a name that leads to the primary
//	rediss://…                                 the same over TLS, verified
//	redis[s]://…?master_name=NAME&addr=h2:p2   the primary that these sentinels name
//	redis[s]://…?addr=h2:p2                    a cluster
//
// Counters that are out of reach are no error: the limiter starts away. The
// error is about the address, and never shows a password.
func Open(ctx context.Context, address string, o Options) (*Limiter, error) {
	client, name, err := dial(address, o)
	if err != nil {
		return nil, err
	}
	l := newLimiter(client, name, o)
	if err := l.probe(ctx); err != nil {
		l.breaker.trip(l.unreachable(err))
		l.log.Warn("shared counters are out of reach at start; calls pass unless a limit says otherwise, charges wait", "server", name, "error", err)
	}
	return l, nil
}

func newLimiter(client goredis.UniversalClient, name string, o Options) *Limiter {
	l := &Limiter{
		client: client, name: name,
		reserve: goredis.NewScript(windowScript + reserveScript),
		settle:  goredis.NewScript(windowScript + settleScript),
		tag:     "{" + cmp.Or(o.Prefix, "egret") + "}:",
		now:     o.Now,
		clock:   func() string { return "" },
		log:     o.Log,
	}
	l.instance = instance()
	l.backlog = newBacklog(cmp.Or(o.Backlog, 100_000), l.instance)
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	return l
}

// instance makes up a name that no other limiter has.
func instance() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Close ends the connections. What is kept is lost; end Run first.
func (l *Limiter) Close() error { return l.client.Close() }

// Partitioned reports whether the counters are out of reach.
func (l *Limiter) Partitioned() bool { return l.breaker.away() != nil }

// Healthy says why the counters are out of reach; nil when they are not.
func (l *Limiter) Healthy() error { return l.breaker.away() }

// Kept counts the charges that wait for delivery, those of one bucket as one.
func (l *Limiter) Kept() int { return l.backlog.size() }

// Lost counts the charges that found no room in the backlog, and those whose
// answer was lost and could not be asked for again within an hour.
func (l *Limiter) Lost() int64 { return l.backlog.lost.Load() }

// call runs a script, for no longer than commandTimeout: also for a caller that
// has left, because an answer that nobody waits for leaves in doubt what was
// charged. It tells the breaker how it went.
func (l *Limiter) call(ctx context.Context, s *goredis.Script, keys []string, args []any) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	reply, err := s.Run(ctx, l.client, keys, args...).Result()
	if err == nil {
		l.breaker.good()
		return reply, nil
	}
	err = l.unreachable(err)
	if l.breaker.bad(err, time.Now()) {
		l.log.Error("shared counters are out of reach; calls pass unless a limit says otherwise, charges wait", "server", l.name, "error", err)
	}
	return nil, err
}

// number is a figure as an argument of a script.
func number(n int64) string { return strconv.FormatInt(n, 10) }

func micros(d time.Duration) string { return number(d.Microseconds()) }
