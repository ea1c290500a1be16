package engine

import (
	"net/http"
	"strings"
	"testing"
)

func TestTrace(t *testing.T) {
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	n := 0
	next := func() string { n++; return strings.Repeat(string(rune('a'+n-1)), 32) }
	f := func(requestID string, parents []string, wantID, wantParent string) {
		t.Helper()
		n = 0
		h := http.Header{"Traceparent": parents}
		if requestID != "" {
			h.Set("X-Request-Id", requestID)
		}
		gotID, gotParent := trace(h, next)
		if gotID != wantID || gotParent != wantParent {
			t.Errorf("id %q, parents %q: %s, %s; want %s, %s", requestID, parents, gotID, gotParent, wantID, wantParent)
		}
	}
	made := strings.Repeat("a", 32)
	fresh := "00-" + made + "-bbbbbbbbbbbbbbbb-00"
	f("", nil, made, fresh)
	f("mine", nil, "mine", "00-"+strings.Repeat("b", 32)+"-aaaaaaaaaaaaaaaa-00")
	f("", []string{"00-" + id + "-" + span + "-01"}, made, "00-"+id+"-bbbbbbbbbbbbbbbb-01")
	f("", []string{"cc-" + id + "-" + span + "-01-more"}, made, "00-"+id+"-bbbbbbbbbbbbbbbb-01")
	for _, bad := range []string{
		"", "x", "ff-" + id + "-" + span + "-01", "00-" + id + "-" + span + "-01-more", "00-" + strings.ToUpper(id) + "-" + span + "-01",
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01", "00-" + id + "-0000000000000000-01", "00-" + id + "-" + span + "-1",
	} {
		f("", []string{bad}, made, fresh)
	}
	f("", []string{"00-" + id + "-" + span + "-01", "00-" + id + "-" + span + "-01"}, made, fresh)
	f("has space", nil, made, fresh)
	f(strings.Repeat("x", 129), nil, made, fresh)
	f("line\nend", nil, made, fresh)
}
