package conform

import (
	"sync/atomic"
	"testing/synctest"
	"time"
)

// clock is a run's time. In a bubble it is the bubble's, which moves when
// nothing else does. A body with a process of its own cannot be in one: its
// run has a clock that stands still but for the pauses of the script.
type clock struct {
	stands bool
	passed atomic.Int64
}

// epoch is when runs begin, as in a bubble.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Now is the time that the engine reads.
func (c *clock) Now() time.Time {
	if c.stands {
		return epoch.Add(time.Duration(c.passed.Load()))
	}
	return time.Now()
}

// pause lets scripted time pass.
func (c *clock) pause(d string) {
	if d == "" {
		return
	}
	length, err := time.ParseDuration(d)
	if err != nil {
		panic("BUG: the script has a bad duration: " + err.Error())
	}
	if c.stands {
		c.passed.Add(int64(length))
		return
	}
	time.Sleep(length)
}

// rest lets everything happen that can without time passing; without a bubble
// nobody knows when that is.
func (c *clock) rest() {
	if !c.stands {
		synctest.Wait()
	}
}

// enough is how long something is waited for that may not come.
func (c *clock) enough() time.Duration {
	if c.stands {
		return 5 * time.Second
	}
	return patience / 2
}
