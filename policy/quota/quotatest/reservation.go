package quotatest

import (
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

func reservation(b *bench) {
	r := reserved("k", 60)
	first := b.allow(r)
	b.used(r, 60, time.Minute)
	b.refuse(0, r)
	b.allow(reserved("k", 40))
	b.refuse(0, checked("k")) // a check sees reservations
	b.settle(first, 10)
	b.used(r, 50, time.Minute)
	b.refuse(0, r)
	b.settle(b.allow(reserved("k", 50)), 0) // free: all of it comes back
	b.used(r, 50, time.Minute)
	b.settle(b.allow(reserved("k", 50)), 70) // more than was reserved
	b.used(r, 120, time.Minute)
}

func lapse(b *bench) {
	r := reserved("k", 60)
	b.allow(r)
	b.pass(5 * time.Second)
	b.allow(reserved("k", 30))
	b.used(r, 90, 55*time.Second)
	b.pass(5*time.Second - b.tick)
	b.used(r, 90, 50*time.Second+b.tick)
	b.pass(b.tick)
	b.used(r, 30, 50*time.Second)
	b.pass(5 * time.Second)
	b.used(r, 0, 45*time.Second)

	whole := reserved("whole", 60)
	whole.TTL = 0
	b.allow(whole)
	b.pass(time.Minute - b.tick)
	b.used(whole, 60, b.tick)
	b.pass(b.tick)
	b.used(whole, 0, time.Minute)
}

func lateSettle(b *bench) {
	r := reserved("k", 60)
	t := b.allow(r)
	b.pass(20 * time.Second)
	b.used(r, 0, 40*time.Second)
	b.settle(t, 25)
	b.used(r, 25, 40*time.Second)
}

func rolledSettle(b *bench) {
	r := reserved("k", 60)
	r.TTL = time.Hour
	t := b.allow(r)
	b.pass(90 * time.Second)
	b.used(r, 0, time.Minute)
	b.settle(b.allow(checked("k")), 5) // the next window is open
	b.pass(10 * time.Second)
	b.settle(t, 25)
	b.used(r, 30, 50*time.Second)
}

func idempotent(b *bench) {
	c, r := checked("c"), reserved("r", 50)
	t := b.allow(c, r)
	other := t
	b.settle(t, 20)
	b.settle(t, 20)
	b.settle(other, 30)
	b.used(c, 20, time.Minute)
	b.used(r, 20, time.Minute)
	b.pass(2 * time.Minute)
	b.settle(t, 20)
	b.used(c, 0, time.Minute)
}

func zeroTicket(b *bench) {
	b.settle(quota.Ticket{}, 20)
	b.used(checked("k"), 0, time.Minute)
}

func byHand(b *bench) {
	taken := called("calls", 5, time.Minute)
	b.settle(quota.Ticket{Buckets: []quota.Bucket{checked("c"), reserved("r", 50), taken}, Taken: b.now()}, 20)
	b.used(checked("c"), 20, time.Minute)
	b.used(checked("r"), 20, time.Minute)
	b.used(taken, 0, time.Minute)
}
