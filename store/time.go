package store

import "time"

// Nanos is how databases keep a time: nanoseconds since 1970, 0 for the zero time. Times beyond what 64 bits hold (the
// years 1678 to 2262) become the nearest that does.
func Nanos(t time.Time) int64 {
	const first, last = -1 << 63 / int64(time.Second), (1<<63 - 1) / int64(time.Second)
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s <= first:
		return -1 << 63
	case s >= last:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// Moment is the time that Nanos kept, in UTC.
func Moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Date is the text of a time in table "tokens", where maas-api has one: RFC 3339, UTC, whole seconds. All have one
// length, so their order as text is that of the times.
func Date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
