package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Break is what happens to an answer on its way.
type Break string

const (
	Stall  Break = "stall"  // silence until Hold is closed, or the client leaves
	Cut    Break = "cut"    // the connection (HTTP/2: the stream) is reset
	End    Break = "end"    // a tidy end, without the events that should have followed
	Fail   Break = "fail"   // the vendor's own error event, then a tidy end
	Garble Break = "garble" // JSON that is not, then on as if nothing had been
)

// Fault is what goes wrong with one answer. It strikes a request that would
// have been answered: who has no valid credential learns that first. The zero
// Fault is a good answer.
type Fault struct {
	// Status answers with the vendor's own error of that status: 429, 500, 529.
	Status int
	// RetryAfter is the Retry-After header that goes with Status; "" for none.
	RetryAfter string
	// Redirect answers 302 to this URL.
	Redirect string

	// First is the time before the first token, Between that before each
	// further one. A unary answer waits for First only.
	First, Between time.Duration
	// Pace, when it is not nil, must yield a value for each token: a test that
	// holds it sees a stream stand still without waiting for a clock.
	Pace <-chan struct{}

	// After so many tokens (or at the end, when there are not as many) Then
	// happens. Of a unary answer half the body has been sent by then, whatever
	// After is.
	After int
	Then  Break
	Hold  <-chan struct{}

	// Usage is told instead of the true one; NoUsage leaves it out.
	Usage   *Usage
	NoUsage bool
}

// Usage is the tokens that an answer says it cost.
type Usage struct {
	Input  int `json:"input"`
	Output int `json:"output"`
}

// UnmarshalJSON reads a Fault as another process tells it: field names in
// snake case, durations as in "200ms".
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in struct {
		Status     int    `json:"status"`
		RetryAfter string `json:"retry_after"`
		Redirect   string `json:"redirect"`
		First      string `json:"first"`
		Between    string `json:"between"`
		After      int    `json:"after"`
		Then       Break  `json:"then"`
		Usage      *Usage `json:"usage"`
		NoUsage    bool   `json:"no_usage"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*f = Fault{Status: in.Status, RetryAfter: in.RetryAfter, Redirect: in.Redirect, After: in.After, Then: in.Then, Usage: in.Usage, NoUsage: in.NoUsage}
	for _, each := range []struct {
		text string
		to   *time.Duration
	}{{in.First, &f.First}, {in.Between, &f.Between}} {
		if each.text == "" {
			continue
		}
		d, err := time.ParseDuration(each.text)
		if err != nil {
			return fmt.Errorf("first, between: %w", err)
		}
		*each.to = d
	}
	switch f.Then {
	case "", Stall, Cut, End, Fail, Garble:
		return nil
	}
	return fmt.Errorf("then: %q is none of stall, cut, end, fail, garble", f.Then)
}

// wait lets a token's time pass and reports whether the client is still there.
func (f *Fault) wait(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return false
		}
	}
	if f.Pace != nil {
		select {
		case <-f.Pace:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// strike breaks an answer off and reports whether it goes on afterwards.
func (f *Fault) strike(x *exchange) bool {
	switch f.Then {
	case Stall:
		select {
		case <-f.Hold:
			return true
		case <-x.r.Context().Done():
			return false
		}
	case Cut:
		panic(http.ErrAbortHandler)
	case End, Fail:
		return false
	}
	return true
}
