package extproc

import (
	"net/http"
	"strings"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/egret-gateway/egret/engine"
)

// answered reports whether an answer is a backend's, by Envoy's word for where
// a response came from.
func answered(details string) bool {
	return details == "via_upstream" || details == "websocket_handshake_unsuccessful" || details == ""
}

// local puts an answer of ours in the place of one that Envoy made, so that
// failures look the same on both planes.
func (f *flow) local(m *extproc.ProcessingRequest, status int, details string) *extproc.ProcessingResponse {
	if f.x == nil {
		return f.unseen(m, status, details)
	}
	if f.ended {
		return toResponseHeaders(&extproc.CommonResponse{})
	}
	if f.attempt == nil {
		return f.unread(status, details)
	}
	failure, outcome := failureOf(status, details)
	if failure == engine.NoEndpoint && f.attempt.Backend.Host != "" {
		failure = engine.NoConnect // its name led nowhere
	}
	return f.refuse(f.x.Fail(failure, details), outcome)
}

// unseen answers a request that Envoy refused before anybody was asked, such
// as one whose path has a fragment. What it asked for is not known here; the
// engine makes the record all the same, and the refusal of a path.
func (f *flow) unseen(m *extproc.ProcessingRequest, status int, details string) *extproc.ProcessingResponse {
	f.x, _ = f.server.opts.Engine.Begin(f.ctx, f.head(m, pseudo{}, http.Header{}))
	if f.x.Refusal == nil || f.x.Refusal.Status != status {
		f.x.Refuse(plain(status, "refused"))
	}
	f.x.Refusal.Reason = "Envoy refused the request: " + details
	return f.refuse(f.x.Refusal, engine.Done)
}

// unread answers a request whose body did not arrive whole.
func (f *flow) unread(status int, details string) *extproc.ProcessingResponse {
	if status == http.StatusRequestEntityTooLarge {
		f.x.Refuse(f.x.TooLarge())
		return f.refuse(f.x.Refusal, engine.Done)
	}
	r := incomplete(details)
	if status == http.StatusRequestTimeout || status == http.StatusGatewayTimeout {
		r = slowBody(details)
	}
	f.x.Refuse(r)
	return f.refuse(r, engine.ClientGone)
}

// incomplete is the refusal of a request of which not all came.
func incomplete(details string) *engine.Refusal {
	r := plain(http.StatusBadRequest, "broken_body")
	r.Reason, r.Body = "the request body could not be read: "+details, []byte("the request body is not complete\n")
	return r
}

// slowBody is the refusal of a request whose body comes too slowly.
func slowBody(details string) *engine.Refusal {
	r := incomplete(details)
	r.Status, r.Code, r.Body = http.StatusRequestTimeout, "slow_body", []byte("the request body came too slowly\n")
	return r
}

func plain(status int, code string) *engine.Refusal {
	return &engine.Refusal{
		Status: status, Code: code,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte(http.StatusText(status) + "\n"),
	}
}

// failureOf is why Envoy has no answer of a backend, by its own words.
func failureOf(status int, details string) (engine.Failure, engine.Outcome) {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(details, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("no_healthy_upstream", "no_cluster_found", "cluster_not_found", "maintenance_mode"):
		return engine.NoEndpoint, engine.UpstreamGone
	case has("connection_failure", "connection_timeout", "overflow"): // before "timeout": the connection's own
		return engine.NoConnect, engine.UpstreamGone
	case has("timeout"), status == http.StatusGatewayTimeout:
		return engine.NoTime, engine.TimedOut
	}
	return engine.NoAnswer, engine.UpstreamGone
}
