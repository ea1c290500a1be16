package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

// longest is how many bytes of a bucket's key stay readable in the server.
const longest = 200

// Reserve implements quota.Limiter. While the counters are out of reach it
// returns an error at once. When no bucket asks to be closed then, the call is
// taken to pass: what it takes for good is kept and counted later. A call in
// flight when the server dies may go uncounted.
func (l *Limiter) Reserve(ctx context.Context, b []quota.Bucket) (quota.Verdict, error) {
	none := quota.Verdict{Full: -1}
	if err := ctx.Err(); err != nil {
		return none, err // the caller has left, which says nothing about the counters
	}
	if err := l.breaker.away(); err != nil {
		l.pass(b)
		return none, err
	}
	serial := l.serial.Add(1)
	keys, args := l.draw(b, serial)
	reply, err := l.call(ctx, l.reserve, keys, args)
	switch {
	case err != nil && unsent(err):
		l.pass(b)
		return none, err
	case err != nil:
		l.abandon(b, serial)
		return none, err
	}
	v, err := verdict(reply, b)
	if v.Allowed {
		v.Ticket = quota.NewTicket(b, l.now(), serial)
	}
	return v, err
}

// draw words a draw for reserve.lua.
func (l *Limiter) draw(b []quota.Bucket, serial uint64) ([]string, []any) {
	keys := make([]string, 0, 2*len(b))
	args := make([]any, 0, 2+5*len(b))
	args = append(args, l.clock(), ticket(l.instance, serial))
	for i := range b {
		k := &b[i]
		keys = l.windowKeys(keys, k.Key)
		settled := "0"
		if k.Settle {
			settled = "1"
		}
		args = append(args, room(b, i), number(max(0, k.Take)), micros(k.Window), micros(k.TTL), settled)
	}
	return keys, args
}

// room is what may be used of bucket i already for its take to fit; "" when it
// never fits. A key that occurs twice in one draw has to bear both.
func room(b []quota.Bucket, i int) string {
	left := b[i].Max
	for k := range i + 1 {
		if b[k].Key != b[i].Key {
			continue
		}
		take := max(0, b[k].Take)
		if k == i {
			take = max(1, take)
		}
		if left < take {
			return ""
		}
		left -= take
	}
	return number(left)
}

// windowKeys appends where a bucket's window and its holds are. Long names
// stand there as their SHA-256.
func (l *Limiter) windowKeys(keys []string, key string) []string {
	if len(key) > longest {
		sum := sha256.Sum256([]byte(key))
		digest := hex.EncodeToString(sum[:])
		return append(keys, l.tag+"W:"+digest, l.tag+"H:"+digest)
	}
	return append(keys, l.tag+"w:"+key, l.tag+"h:"+key)
}

// ticket names a ticket among those of all replicas.
func ticket(instance string, serial uint64) string {
	return instance + ":" + strconv.FormatUint(serial, 10)
}

// verdict reads the answer of reserve.lua.
func verdict(reply any, b []quota.Bucket) (quota.Verdict, error) {
	v := quota.Verdict{Full: -1}
	list, _ := reply.([]any)
	if len(list) != 1+2*len(b) {
		return v, fmt.Errorf("shared counters: the answer has %d parts for %d buckets", len(list), len(b))
	}
	full, _ := list[0].(int64)
	v.Full, v.Allowed = int(full), full < 0
	v.States = make([]quota.State, len(b))
	for i := range b {
		text, _ := list[1+2*i].(string)
		used, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return quota.Verdict{Full: -1}, fmt.Errorf("shared counters: %s has the figure %q", b[i].Key, text)
		}
		left, _ := list[2+2*i].(int64)
		v.States[i] = quota.State{Max: b[i].Max, Used: used, Reset: span(left)}
	}
	return v, nil
}

// span turns microseconds into a duration; the longest one stands for more.
func span(micros int64) time.Duration {
	if micros > math.MaxInt64/1000 {
		return math.MaxInt64
	}
	return time.Duration(micros) * time.Microsecond
}
