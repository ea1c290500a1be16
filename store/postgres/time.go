package postgres

import "time"

// nanos is how times are kept outside the table "tokens": nanoseconds since 1970, 0 for the zero time. Times beyond what
// 64 bits hold (the years 1678 to 2262) become the nearest that does.
func nanos(t time.Time) int64 {
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

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// date is the text of a time in the table "tokens". All have one length, so their order as text is that of the times.
func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
