package conform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
)

// Observed is what came of one step.
type Observed struct {
	Status  int
	Header  http.Header // without what the hop's own framing is
	Body    string
	Broken  bool
	After   time.Duration // until the head came
	Calls   []Call
	Records []map[string]any
	Sights  []string // what is known of backends then, and which policy has refused: see sights
	Stuck   string   // the first piece of a stream that did not come when it was sent
}

// play runs the steps against a body in a bubble and returns what was
// observed, one per request.
func play(p *plan.Plan, r *realm, steps []Step, open func(context.Context, *World) (Body, error)) ([]Observed, error) {
	return newWorld(p, r, &clock{}, newPipe()).play(steps, open, nil)
}

// replay runs the steps against a body that lives in real time and on real
// sockets. What another body did says how many records to wait for.
func replay(p *plan.Plan, r *realm, steps []Step, open func(context.Context, *World) (Body, error), before []Observed) ([]Observed, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return newWorld(p, r, &clock{stands: true}, l).play(steps, open, before)
}

func (w *World) play(steps []Step, open func(context.Context, *World) (Body, error), before []Observed) (seen []Observed, err error) {
	go w.upstream.server.Serve(w.upstream.listener)
	defer w.upstream.server.Close()
	if err := w.upstream.secureAll(w.Plan, w.realm.pki); err != nil {
		return nil, err
	}
	body, err := open(context.Background(), w)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	for i := range steps {
		w.clock.pause(steps[i].Wait)
		for range max(1, steps[i].Repeat) {
			records := 0
			if len(seen) < len(before) {
				records = len(before[len(seen)].Records)
			}
			o, err := w.step(body, &steps[i], records)
			if err != nil {
				return seen, err
			}
			seen = append(seen, *o)
		}
	}
	return seen, nil
}

// step makes one request and gathers what came of it.
func (w *World) step(body Body, s *Step, records int) (*Observed, error) {
	w.begin(s)
	start := w.clock.Now()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	res, err := body.Call(ctx, s.request())
	if err != nil {
		return nil, err
	}
	o := &Observed{Status: res.Status, Header: maps.Clone(res.Header), After: w.clock.Now().Sub(start)}
	for _, name := range []string{"Date", "Connection", "Content-Length", "Trailer"} {
		delete(o.Header, name)
	}
	if w.read(o, s, res.Body) {
		rest, err := io.ReadAll(res.Body)
		o.Body += string(rest)
		o.Broken = errors.Is(err, io.ErrUnexpectedEOF)
	} else {
		leave()
	}
	res.Body.Close()
	w.clock.rest() // for the exchange to end
	w.await(records)
	o.Calls = w.upstream.end()
	if err := errors.Join(s.explained(w.recorded()), w.upstream.leaked(s)); err != nil {
		return nil, err
	}
	for _, r := range w.recorded() {
		o.Records = append(o.Records, flat(&r))
	}
	o.Sights = w.sights()
	return o, nil
}

// sights are what was last seen of backends, without words, which are each
// body's own: "+Connected XBackend ns/x until 2027-01-01"; and who has refused
// calls since the last step.
func (w *World) sights() (out []string) {
	for _, f := range w.book.Facts() {
		line := "-" + string(f.Kind) + " " + f.Object
		if f.Good {
			line = "+" + line[1:]
		}
		if !f.Ends.IsZero() {
			line += " until " + f.Ends.UTC().Format(time.DateOnly)
		}
		out = append(out, line)
	}
	for _, r := range w.book.Refusals() {
		out = append(out, fmt.Sprintf("%s refused %d: %d %s", r.Object, r.Calls, r.Status, r.Code))
	}
	return out
}

// read takes the pieces of a stream as they come and lets the upstream send
// the next one each time; false when the client leaves.
func (w *World) read(o *Observed, s *Step, body io.Reader) bool {
	if len(s.Upstream) == 0 {
		return true
	}
	for i, p := range s.Upstream[len(s.Upstream)-1].Pieces {
		if p.Hidden {
			continue
		}
		got := make([]byte, len(p.text()))
		n, err := io.ReadFull(body, got)
		o.Body += string(got[:n])
		if err != nil {
			o.Stuck = p.Data
			return false
		}
		if s.Leave == i+1 {
			return false
		}
		// The upstream waits behind each piece, unless it was cut off.
		w.clock.rest()
		select {
		case w.upstream.gate <- struct{}{}:
		case <-time.After(w.clock.enough()):
			return true
		}
	}
	return true
}

// await waits for so many records.
func (w *World) await(n int) {
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	for range n {
		select {
		case <-ended:
		case <-time.After(w.clock.enough()):
			return
		}
	}
}

// flat is a Record without what two runs need not share: clock readings, and
// the address of the client.
func flat(r *engine.Record) map[string]any {
	return map[string]any{
		"id": r.ID, "trace": r.Trace, "inner": r.Inner, "gateway": r.Gateway, "listener": r.Listener, "route": r.Route, "rule": r.Rule,
		"backend": r.Backend, "account": r.Account, "method": r.Method, "host": r.Host, "path": r.Path, "status": float64(r.Status), "outcome": string(r.Outcome),
		"code": r.Code, "user": r.User, "subject": r.Subject, "tier": r.Tier, "policy": r.Policy, "limit": r.Limit, "checked": r.Checked,
		"charged": r.Charged, "dialect": string(r.Dialect), "asked": r.Asked, "served": r.Served, "stream": r.Stream,
		"input": float64(r.Usage.Input), "output": float64(r.Usage.Output), "total": float64(r.Usage.Total), "exact": r.Usage.Exact,
		"attempts": float64(r.Attempts), "sent": float64(r.Sent),
	}
}
