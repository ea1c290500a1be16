package extproc

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	logged "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
)

// flows are the requests that were sent to a backend and have not ended.
type flows struct {
	ids  atomic.Uint64
	byID sync.Map // string → *flow
}

// add makes f known by an id of its own.
func (s *flows) add(f *flow) {
	f.id = strconv.FormatUint(s.ids.Add(1), 36)
	s.byID.Store(f.id, f)
}

// find returns nil when there is none.
func (s *flows) find(id string) *flow {
	v, ok := s.byID.Load(id)
	if !ok {
		return nil
	}
	return v.(*flow)
}

// drop forgets f. Its id becomes empty, so that it is not logged either.
func (s *flows) drop(f *flow) {
	s.byID.Delete(f.id)
	f.id = ""
}

// sweep ends flows whose log entry did not come.
func (s *flows) sweep(stop <-chan struct{}, server *Server) {
	tick := time.NewTicker(server.opts.Late / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			s.each(func(f *flow) {
				if !f.due.IsZero() && now.After(f.due) {
					f.untold()
				}
			})
		}
	}
}

// finish ends all flows; no message will come any more.
func (s *flows) finish() { s.each((*flow).untold) }

// each calls do for every flow, which is locked meanwhile.
func (s *flows) each(do func(*flow)) {
	s.byID.Range(func(_, v any) bool {
		f := v.(*flow)
		f.mu.Lock()
		defer f.mu.Unlock()
		do(f)
		return true
	})
}

// untold ends a flow of which nobody said how it ended: without an answer the
// client must have left, since Envoy would have made one itself.
func (f *flow) untold() {
	f.server.counts.lost.Add(1)
	outcome := engine.ClientGone
	if f.reply.begun && !f.reply.plan.Watch {
		outcome = engine.Done
	}
	f.end(outcome, f.reply.sent)
}

// StreamAccessLogs takes the log entries of requests whose end the filter of
// the listener was not told.
func (s *Server) StreamAccessLogs(stream als.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			id := e.GetCommonProperties().GetMetadata().GetFilterMetadata()[envoy.Namespace].GetFields()[envoy.KeyID].GetStringValue()
			if f := s.flows.find(id); f != nil {
				s.counts.entries.Add(1)
				f.told(e)
			}
		}
	}
}

// told ends a flow as Envoy has seen it end.
func (f *flow) told(e *logged.HTTPAccessLogEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	sent := int64(e.GetResponse().GetResponseBodyBytes())
	outcome := outcomeOf(e)
	details := e.GetResponse().GetResponseCodeDetails()
	if outcome != engine.Done {
		f.x.Record.Reason = details
	}
	if outcome == engine.UpstreamGone || outcome == engine.TimedOut {
		f.broken(int(e.GetResponse().GetResponseCode().GetValue()), details)
	}
	f.end(outcome, sent)
}

// broken settles an answer that the backend did not finish. Envoy may have
// answered in its place, when it noticed before the head had left. Half an
// answer that is no stream is of no use, and is free.
func (f *flow) broken(status int, details string) {
	instead := status != f.x.Record.Status
	if !instead && !f.reply.plan.Hold {
		return
	}
	failure, _ := failureOf(status, details)
	f.x.Fail(failure, details)
	if !instead {
		f.x.Refusal = nil
	}
}

// outcomeOf reads an end out of Envoy's flags.
func outcomeOf(e *logged.HTTPAccessLogEntry) engine.Outcome {
	g := e.GetCommonProperties().GetResponseFlags()
	details := e.GetResponse().GetResponseCodeDetails()
	switch {
	case g.GetDownstreamConnectionTermination(), g.GetDownstreamProtocolError(), strings.Contains(details, "downstream"), strings.Contains(details, "http2.remote_re"):
		return engine.ClientGone
	case g.GetUpstreamRequestTimeout(), g.GetStreamIdleTimeout(), g.GetDurationTimeout(), g.GetUpstreamMaxStreamDurationReached():
		return engine.TimedOut
	case strings.HasPrefix(details, "upstream_reset"), g.GetUpstreamConnectionTermination(), g.GetUpstreamRemoteReset(), g.GetUpstreamProtocolError(), g.GetLocalReset():
		return engine.UpstreamGone
	}
	return engine.Done
}
