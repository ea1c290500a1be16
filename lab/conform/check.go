package conform

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// check holds what was observed of a step against what it expects.
func (s *Step) check(t *testing.T, n int, o *Observed) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("request %d (%s): %s", n, s.Send, fmt.Sprintf(format, args...))
	}
	s.checkAnswer(o, fail)
	calls := 1
	if s.Calls != nil {
		calls = *s.Calls
	}
	if len(o.Calls) != calls {
		fail("%d upstream calls, want %d", len(o.Calls), calls)
	}
	for _, want := range s.Sights {
		if !slices.ContainsFunc(o.Sights, func(line string) bool { return strings.HasPrefix(line, want) }) {
			fail("known of backends is %q, want %q among it", o.Sights, want)
		}
	}
	for i := range s.Seen {
		if i < len(o.Calls) {
			s.Seen[i].check(&o.Calls[i], fail)
		}
	}
	hops := s.Hops
	if s.Record != nil && len(o.Records) > 0 {
		hops, o = []map[string]any{s.Record}, &Observed{Records: o.Records[len(o.Records)-1:]}
	}
	if hops != nil && len(hops) != len(o.Records) {
		fail("%d records, want %d", len(o.Records), len(hops))
		return
	}
	for i, want := range hops {
		for name, v := range want {
			if got, known := o.Records[i][name]; !known || got != v {
				fail("record %d: %s is %v, want %v", i+1, name, got, v)
			}
		}
	}
}

func (s *Step) checkAnswer(o *Observed, fail func(string, ...any)) {
	a := &s.Answer
	if o.Status != a.Status {
		fail("status %d, want %d; body %q", o.Status, a.Status, o.Body)
	}
	if o.Stuck != "" {
		fail("piece %q did not come when it was sent", o.Stuck)
	}
	if o.Broken != a.Broken {
		fail("broken off: %v, want %v", o.Broken, a.Broken)
	}
	if a.Body != nil && o.Body != *a.Body {
		fail("body %q, want %q", o.Body, *a.Body)
	}
	for _, want := range a.Contains {
		if !strings.Contains(o.Body, want) {
			fail("body %q does not contain %q", o.Body, want)
		}
	}
	if want, err := time.ParseDuration(a.After); a.After != "" && (err != nil || want != o.After) {
		fail("the head came after %v, want %s", o.After, a.After)
	}
	checkFields("answer", o.Header, a.Has, a.Lacks, fail)
}

func (v *View) check(c *Call, fail func(string, ...any)) {
	if v.Host != "" && c.Host != v.Host {
		fail("upstream saw host %q, want %q", c.Host, v.Host)
	}
	if v.Path != "" && c.Path != v.Path {
		fail("upstream saw path %q, want %q", c.Path, v.Path)
	}
	if v.SNI != "" && c.SNI != v.SNI {
		fail("upstream saw SNI %q, want %q", c.SNI, v.SNI)
	}
	if v.Body != nil && c.Body != *v.Body {
		fail("upstream saw body %q, want %q", c.Body, *v.Body)
	}
	checkFields("upstream", c.Header, v.Has, v.Lacks, fail)
}

func checkFields(where string, h http.Header, has, lacks []string, fail func(string, ...any)) {
	for name, values := range fields(has) {
		got := strings.Join(h[name], ", ")
		for _, want := range values {
			prefix, open := strings.CutSuffix(want, "*")
			if h[name] == nil || got != want && !(open && strings.HasPrefix(got, prefix)) {
				fail("%s: field %s is %q, want %q", where, name, got, want)
			}
		}
	}
	for _, name := range lacks {
		if v, ok := h[http.CanonicalHeaderKey(name)]; ok {
			fail("%s: field %s is there: %q", where, name, v)
		}
	}
}
