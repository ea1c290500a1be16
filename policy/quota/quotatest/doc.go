// Package quotatest holds what every quota.Limiter must do, whatever keeps its
// counters. The tests bring their own clock: a limiter under test must take the
// time from it and from nowhere else.
package quotatest
