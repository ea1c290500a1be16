package redis

import (
	"context"
	"fmt"
	"time"
)

// Run finds out every second whether counters that were out of reach are back,
// and delivers what was kept. When ctx ends it tries for two more seconds to
// deliver the rest, and returns an error if something remains.
func (l *Limiter) Run(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.drain(ctx)
		case <-tick.C:
			l.turn(ctx)
		}
	}
}

// turn is one round of Run.
func (l *Limiter) turn(ctx context.Context) {
	if l.breaker.away() != nil {
		if err := l.probe(ctx); err != nil {
			l.breaker.trip(l.unreachable(err))
			return
		}
		l.breaker.reset()
		l.log.Info("shared counters are back", "server", l.name, "kept", l.Kept(), "lost", l.Lost())
	}
	l.deliver(ctx)
}

// probe asks for something that is written, which a replica, a full server or
// one that is still loading would refuse. No request waits for it, so it has the
// time that a connection with TLS takes on a busy machine.
func (l *Limiter) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+commandTimeout)
	defer cancel()
	return l.settle.Run(ctx, l.client, []string{l.tag + "done:" + l.instance}, l.clock(), "", "probe", markLife.Milliseconds(), 0).Err()
}

// deliver sends what is kept until nothing is left or something goes wrong.
func (l *Limiter) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		s := l.backlog.next(l.now(), func() uint64 { return l.serial.Add(1) })
		if len(s.Charges) == 0 {
			return
		}
		taken, err := s, l.charge(ctx, &s)
		if err == nil {
			l.backlog.done(s)
			l.arrived(s)
			continue
		}
		if s.Sent.IsZero() && !unsent(err) {
			s.Sent = l.now()
		}
		l.backlog.back(taken, s, l.now()) // counted by Lost
		return
	}
}

func (l *Limiter) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	l.turn(ctx)
	if n := l.Kept(); n > 0 {
		return fmt.Errorf("%d charges could not be delivered to the shared counters at %s", n, l.name)
	}
	return nil
}
