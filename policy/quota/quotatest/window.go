package quotatest

import (
	"math"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

func belowLimit(b *bench) {
	k := checked("k")
	b.spend(k, 99)
	b.spend(k, 50)
	b.used(k, 149, time.Minute)
	b.refuse(0, k)
}

func refusalIsFree(b *bench) {
	k := checked("k")
	b.spend(k, 100)
	for range 3 {
		b.refuse(0, k)
	}
	v := b.draw(k)
	if v.States[0].Left() != 0 {
		b.Errorf("left %d, want 0", v.States[0].Left())
	}
	b.settle(v.Ticket, 7) // the ticket of a refusal settles nothing
	b.used(k, 100, time.Minute)
}

func freeCall(b *bench) {
	k := checked("k")
	b.spend(k, 0)
	b.pass(10 * time.Second)
	b.spend(k, 5)
	b.used(k, 5, time.Minute)
}

func perUser(b *bench) {
	key := func(user string) string { return quota.Key("tokenlimit.free__0", "default/bridge", "100/1m", user) }
	first, second := checked(key("alice")), checked(key("alice"))
	b.spend(first, 60)
	b.spend(second, 40)
	b.refuse(0, first)
	b.allow(checked(key("bob")))
}

func perRoute(b *bench) {
	key := func(route string) string { return quota.Key("tokenlimit.free__0", route, "100/1m", "alice") }
	b.spend(checked(key("default/bridge")), 100)
	b.refuse(0, checked(key("default/bridge")))
	b.allow(checked(key("models/llama")))
}

func fixedWindow(b *bench) {
	k := checked("k")
	b.used(k, 0, time.Minute)
	b.pass(17 * time.Second) // not aligned to anything
	b.spend(k, 60)
	b.pass(40 * time.Second)
	b.spend(k, 60)
	b.used(k, 120, 20*time.Second)
	b.pass(20*time.Second - b.tick)
	b.refuse(0, k)
	b.pass(b.tick)
	b.used(k, 0, time.Minute)
	b.pass(time.Hour)
	b.spend(k, 1) // overshoot is not carried on
	b.used(k, 1, time.Minute)
}

func calls(b *bench) {
	k := called("k", 5, 10*time.Second)
	for i := range int64(5) {
		v := b.draw(k)
		if want := (quota.State{Max: 5, Used: i + 1, Reset: 10 * time.Second}); v.States[0] != want {
			b.Fatalf("call %d: state %+v, want %+v", i+1, v.States[0], want)
		}
		b.settle(v.Ticket, 1000) // calls are counted when they come, nothing is settled
	}
	b.refuse(0, k)
	b.pass(10 * time.Second)
	b.allow(k)
}

func allOrNothing(b *bench) {
	minute, hour := called("minute", 2, time.Minute), called("hour", 3, time.Hour)
	b.allow(minute, hour)
	b.allow(minute, hour)
	b.refuse(0, minute, hour)
	b.pass(time.Minute)
	b.allow(minute, hour)
	b.refuse(1, minute, hour)
	b.used(minute, 1, time.Minute)
	b.used(hour, 3, 59*time.Minute)
	full := checked("tokens")
	b.spend(full, 100)
	b.refuse(1, called("calls", 9, time.Minute), full)
	b.used(called("calls", 9, time.Minute), 0, time.Minute)
}

func sameKeyTwice(b *bench) {
	k := called("k", 3, time.Minute)
	b.allow(k, k)
	b.refuse(1, k, k)
	b.used(k, 2, time.Minute)
	r := reserved("r", 10)
	t := b.allow(r, r)
	b.used(r, 20, time.Minute)
	b.settle(t, 3)
	b.used(r, 6, time.Minute)
}

func nothing(b *bench) {
	for _, limit := range []int64{0, -1, math.MinInt64} {
		k := checked("k")
		k.Max = limit
		b.refuse(0, k)
		k.Take = 1
		b.refuse(0, k)
	}
	b.refuse(0, reserved("k", 101))
	b.refuse(0, reserved("k", math.MaxInt64))
}

func lateCharge(b *bench) {
	k := checked("k")
	b.spend(k, 60)
	t := b.allow(k)
	b.pass(61 * time.Second)
	b.settle(t, 30)
	b.used(k, 30, time.Minute)
}

func overflow(b *bench) {
	k := checked("k")
	t1, t2, t3 := b.allow(k), b.allow(k), b.allow(k)
	b.settle(t1, math.MaxInt64)
	b.settle(t2, math.MaxInt64)
	b.settle(t3, -5) // nobody is paid for calling
	b.refuse(0, k)
	b.refuse(0, reserved("k", math.MaxInt64))
	large := quota.Bucket{Key: "large", Max: math.MaxInt64, Window: time.Minute, Take: math.MaxInt64 - 1}
	b.allow(large)
	b.refuse(0, large)
	large.Take = 1
	b.allow(large)
	b.refuse(0, large)
}
