package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/source"
)

// Question is what /explain is asked.
type Question struct {
	Gateway  string            `json:"gateway"` // namespace/name
	Port     int32             `json:"port"`    // 0 = the gateway's first
	Method   string            `json:"method"`
	Host     string            `json:"host"`
	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers,omitempty"`
	Identity map[string]any    `json:"identity,omitempty"` // stands in for the caller: userid, tier
}

// Answer is what /explain says.
type Answer struct {
	engine.Explanation
	// Lost are policies on the way to this route that a stronger one overrides.
	Lost []string `json:"lost,omitempty"`
}

const maxQuestion = 64 << 10

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	var q Question
	d := json.NewDecoder(io.LimitReader(r.Body, maxQuestion))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		http.Error(w, "the question is not understood: "+err.Error()+`; send {"gateway":"NAMESPACE/NAME","method":"POST","path":"/..."}`, http.StatusBadRequest)
		return
	}
	if gateways := s.gateways(); !slices.Contains(gateways, q.Gateway) {
		http.Error(w, "there is no gateway "+strconv.Quote(q.Gateway)+" here; there are: "+strings.Join(gateways, ", "), http.StatusNotFound)
		return
	}
	writeJSON(w, s.answer(r, q))
}

// gateways are those of the plan being served.
func (s *Server) gateways() []string {
	var out []string
	for _, p := range s.Engine.Plan().Ports {
		out = append(out, p.Gateway)
	}
	return slices.Compact(out)
}

func (s *Server) answer(r *http.Request, q Question) Answer {
	h := engine.Head{Gateway: q.Gateway, Port: q.Port, Method: q.Method, Scheme: "https", Host: q.Host, Path: q.Path, Protocol: "HTTP/1.1", Header: http.Header{}}
	if h.Method == "" {
		h.Method = http.MethodPost
	}
	if h.Host == "" {
		h.Host = "localhost"
	}
	for name, v := range q.Headers {
		h.Header.Set(name, v)
	}
	if h.Port == 0 {
		for _, p := range s.Engine.Plan().Ports {
			if p.Gateway == h.Gateway {
				h.Port = p.Number
				break
			}
		}
	}
	out := Answer{Explanation: s.Engine.Explain(r.Context(), h, q.Identity)}
	if st := s.state.Load(); st != nil && out.Route != "" {
		out.Lost = lost(st.conditions, &out)
	}
	return out
}

// lost lists the policies that say of themselves that others override them,
// by what they name: this route, or the policies that won on it.
func lost(cs []source.Condition, a *Answer) []string {
	var out []string
	for _, c := range cs {
		if c.Type != "Enforced" && c.Type != "Accepted" || c.Reason != "Overridden" && c.Reason != "Conflicted" && !strings.Contains(c.Message, "partially") {
			continue
		}
		if strings.Contains(c.Message, a.Route) || a.Policy != nil && a.Policy.Auth != "" && strings.Contains(c.Message, a.Policy.Auth) {
			out = append(out, c.Key().String()+": "+c.Message)
		}
	}
	return out
}
