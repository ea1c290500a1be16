package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/xds"
)

// Client keeps the feed of one Gateway up to date in its data plane.
type Client struct {
	// Stream says where from and as whom; its Types are set by Run.
	Stream xds.Client
	// Denied is called with the denials before apply, and also when the rest of
	// the feed is not whole or is refused: a revocation waits for nothing. What
	// arrives is added at once; what is lifted goes when the denials are those
	// of a head. nil = apply is enough.
	Denied func([]Denial)
	// Kept is a feed that is applied already, such as one that Read returned;
	// nil = none.
	Kept *Feed
	// Name is who refuses a feed, in what the controller is told: the pod and
	// its release. "" says nothing.
	Name string

	pending atomic.Pointer[string]
}

// Run calls apply with every feed that is whole, one at a time, until ctx ends.
// A feed whose plan did not change has the same Plan pointer as the one before,
// so that a denial is in force without anything being compiled. What apply
// refuses is refused to the controller with the error's text; the feed is
// offered again with the next change.
func (c *Client) Run(ctx context.Context, apply func(context.Context, *Feed) error) error {
	c.Stream.Types = Types
	have, last, told := newParts(), (*joined)(nil), denials{tell: c.Denied}
	if f := c.Kept; f != nil {
		last = &joined{head: f.head(f.Plan, sorted(f.Denied)), feed: f}
		told.are(f.Epoch(), f.Denied)
	}
	return c.Stream.Run(ctx, func(ctx context.Context, change xds.Change) error {
		if err := have.change(change); err != nil {
			return c.refused(err)
		}
		if change.Type == TypeDenial && len(change.Changed) > 0 {
			told.more(values(have.denials))
		}
		head, ok := have.heads[nameHead]
		if !ok || last != nil && last.head.equal(head) {
			c.pending.Store(nil)
			return nil // the head of what changed is still to come
		}
		if denied := values(have.denials); head.Epoch != told.epoch && epoch(denied) == head.Epoch {
			told.are(head.Epoch, denied)
		}
		f, err := have.join(last)
		if err != nil {
			text := err.Error()
			c.pending.Store(&text)
			if errors.As(err, &unknown{}) {
				return c.refused(err)
			}
			return nil // removals are still to come, after the head
		}
		c.pending.Store(nil)
		if err := apply(ctx, f); err != nil {
			return c.refused(err)
		}
		last = &joined{head: head, feed: f}
		return nil
	})
}

// denials are those that were told last.
type denials struct {
	tell  func([]Denial)
	list  []Denial
	epoch string // of the head that they are those of; "" = of none
}

func (d *denials) are(epoch string, list []Denial) {
	d.epoch, d.list = epoch, list
	if d.tell != nil {
		d.tell(list)
	}
}

func (d *denials) more(list []Denial) { d.are("", sorted(slices.Concat(d.list, list))) }

// refused says who refuses. What is waited for is then no more to come.
func (c *Client) refused(err error) error {
	if c.Name != "" {
		err = fmt.Errorf("%s: %w", c.Name, err)
	}
	text := err.Error()
	c.pending.Store(&text)
	return err
}

// change takes all of a response in, or nothing.
func (p *parts) change(change xds.Change) error {
	fresh := newParts()
	for _, r := range change.Changed {
		if err := fresh.put(r); err != nil {
			return err
		}
	}
	p.merge(fresh)
	for _, name := range change.Removed {
		p.drop(change.Type, name)
	}
	return nil
}

// LastHeard is when the controller was last known to be there; zero = never.
// While all is well it is never more than a few seconds ago.
func (c *Client) LastHeard() time.Time { return c.Stream.State().Heard }

// State is how the stream stands.
func (c *Client) State() xds.State { return c.Stream.State() }

// Pending says what is still missing of a newer feed than the one applied, ""
// when nothing is.
func (c *Client) Pending() string {
	if text := c.pending.Load(); text != nil {
		return *text
	}
	return ""
}
