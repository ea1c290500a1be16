package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
)

// Status is the answer of /status.
type Status struct {
	Version string    `json:"version"`
	Plan    string    `json:"plan"` // hash of the plan being served
	Loaded  time.Time `json:"loaded"`
	// Refused is set while a newer configuration is not served.
	Refused    *Refusal    `json:"refused,omitempty"`
	Ready      string      `json:"ready"` // "ok", or why not
	Objects    int         `json:"objects"`
	Conditions []Condition `json:"conditions"`
	Notices    []string    `json:"notices,omitempty"`
}

// Refusal is a configuration that is not served.
type Refusal struct {
	At       time.Time        `json:"at"`
	Problems []source.Problem `json:"problems,omitempty"`
	Error    string           `json:"error,omitempty"`
}

// Condition is one condition of one object.
type Condition struct {
	Kind, Namespace, Name string
	Parent                string `json:",omitempty"`
	Type, Status, Reason  string
	Message, Origin       string
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	st := s.state.Load()
	out := Status{Version: s.Version, Ready: "ok", Conditions: []Condition{}}
	if err := s.Ready(); err != nil {
		out.Ready = err.Error()
	}
	if st != nil {
		conditions := st.conditions
		if s.Seen != nil {
			conditions = slices.Concat(conditions, sight.Conditions(s.Seen(), conditions))
		}
		st.fill(&out, conditions)
	}
	if !wantsTable(r) {
		writeJSON(w, out)
		return
	}
	out.table(w)
}

func (st *state) fill(out *Status, conditions []source.Condition) {
	if st.plan != nil {
		out.Plan, out.Loaded = st.plan.Hash(), st.loaded
	}
	out.Objects = len(st.snapshot.Origins)
	for _, c := range conditions {
		out.Conditions = append(out.Conditions, Condition{
			Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, Parent: parent(c.Parent), Type: c.Type, Status: string(c.Status),
			Reason: c.Reason, Message: c.Message, Origin: st.snapshot.Origin(c.Kind, c.Namespace, c.Name),
		})
	}
	for _, n := range st.snapshot.Notices {
		out.Notices = append(out.Notices, n.String())
	}
	if f := st.refusal; f != nil {
		out.Refused = &Refusal{At: f.at, Problems: f.problems}
		if f.err != nil {
			out.Refused.Error = f.err.Error()
		}
	}
}

func parent(r source.Ref) string {
	switch {
	case r == (source.Ref{}):
		return ""
	case r.Name == "":
		return "listener " + r.SectionName
	}
	p := r.Kind + " " + r.Namespace + "/" + r.Name
	if r.SectionName != "" {
		p += "/" + r.SectionName
	}
	return p
}

func (out *Status) table(w http.ResponseWriter) {
	fmt.Fprintf(w, "egret %s  plan %s  loaded %s  ready: %s\n\n", out.Version, out.Plan, out.Loaded.Format(time.RFC3339), out.Ready)
	if f := out.Refused; f != nil {
		fmt.Fprintf(w, "A newer configuration (%s) is NOT served:\n", f.At.Format(time.RFC3339))
		for _, p := range f.Problems {
			fmt.Fprintf(w, "  %s\n", p)
		}
		if f.Error != "" {
			fmt.Fprintf(w, "  %s\n", f.Error)
		}
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "OBJECT\tPART\tCONDITION\tSTATUS\tREASON\tMESSAGE")
	for _, c := range out.Conditions {
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\t%s\t%s\n", c.Kind, strings.TrimPrefix(c.Namespace+"/"+c.Name, "/"), c.Parent, c.Type, c.Status, c.Reason, c.Message)
	}
	t.Flush()
	for _, n := range out.Notices {
		fmt.Fprintln(w, "notice:", n)
	}
}

func (s *Server) plan(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Engine.Plan().Shown()) }

// Usage is the answer of /usage.
type Usage struct {
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until"`
	By    []string      `json:"by"`
	Rows  []store.Total `json:"rows"`
}

// usage answers ?since=24h&user=&model=&tier=&by=user,model.
func (s *Server) usage(w http.ResponseWriter, r *http.Request) {
	q, err := usageQuery(r, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.Settle != nil {
		ctx, cancel := context.WithTimeout(r.Context(), settling)
		defer cancel()
		s.Settle(ctx)
	}
	rows, err := s.Ledger.Usage(r.Context(), q)
	if err != nil {
		s.Log.Error("usage cannot be read", "error", err)
		http.Error(w, "the ledger cannot be read: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if rows == nil {
		rows = []store.Total{} // an empty list, not null: clients walk over it
	}
	writeJSON(w, Usage{Since: q.Since, Until: q.Until, By: q.By, Rows: rows})
}

// settling bounds how long an answer waits for calls that have just ended.
const settling = time.Second

// dimensions that usage can be grouped by.
var dimensions = []string{store.ByUser, store.ByModel, store.ByTier, store.ByRoute, store.ByDay, store.ByHour}

func usageQuery(r *http.Request, now time.Time) (store.Query, error) {
	v := r.URL.Query()
	q := store.Query{Until: now, Since: now.Add(-24 * time.Hour), User: v.Get("user"), Model: v.Get("model"), Tier: v.Get("tier"), By: []string{store.ByUser, store.ByModel}}
	if since := v.Get("since"); since != "" {
		d, err := time.ParseDuration(since)
		if err != nil || d <= 0 {
			return q, fmt.Errorf("since=%s is not a duration such as 24h", strconv.Quote(since))
		}
		q.Since = now.Add(-d)
	}
	if by := v.Get("by"); by != "" {
		q.By = strings.Split(by, ",")
	}
	for _, b := range q.By {
		if !slices.Contains(dimensions, b) {
			return q, fmt.Errorf("by=%s is not one of %s", strconv.Quote(b), strings.Join(dimensions, ", "))
		}
	}
	return q, nil
}

func wantsTable(r *http.Request) bool {
	return r.URL.Query().Get("format") == "table" || !strings.Contains(r.Header.Get("Accept"), "json") && strings.Contains(r.Header.Get("Accept"), "text/")
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(v)
}
