package conform

import (
	"slices"
	"strings"
)

// difference is something that a real Envoy does differently from the native
// plane, and why that is so. Whatever is not listed must be the same.
type difference struct {
	scenario string           // of which the title contains this
	requests []int            // from 1; none = all
	forget   []string         // what is not compared: fields of Observed, "record FIELD" of all records, "gateway NAME" its records
	when     func(*Step) bool // of random requests: those that it concerns
	unplayed bool             // the request is not made: it would take hours
	why      string
}

var differences = []difference{{
	scenario: "maas-100 what came before", requests: []int{1, 3}, forget: []string{"body", "record sent"},
	why: "Envoy resets a stream that the backend broke off before anybody is asked, so that no error event can follow; it is cut off all the same",
}, {
	scenario: "maas-100 what came before", requests: []int{4}, forget: []string{"status", "header", "body", "broken", "record status", "record code", "record sent"},
	why: "the head of half an answer has left, or else the break comes while it is on its way; neither can become an answer of ours",
}, {
	scenario: "TLS is what the destination asks for", requests: []int{15}, forget: []string{"body", "record code", "record sent", "sights"},
	why: "under TLS 1.3 a server refuses a client after the handshake, of which Envoy says only that the connection ended",
}, {
	scenario: "TLS is what the destination asks for", requests: []int{16, 17}, forget: []string{"sights"},
	why: "and so nothing is known then of what it was about",
}, {
	scenario: "what is seen of backends", requests: []int{2}, forget: []string{"header"},
	why: "that field is Envoy's word to the engine, and no client gets it, whoever said it",
}, {
	scenario: "a bridge to a second gateway", forget: []string{"gateway default/poc-gateway"},
	why: "to the second of two gateways in pods the first is a client like others: it reads the call itself",
}, {
	scenario: "a bridge to a second gateway", requests: []int{8}, forget: []string{"status", "header", "body", "calls", "records"},
	why: "and it counts the fields itself, those that the first has added included",
}, {
	scenario: "the installed manifests as they are", forget: []string{"gateway default/poc-gateway"},
	why: "as for a bridge",
}, {
	scenario: "gateway-115", requests: []int{8}, forget: []string{"record inner"},
	why: "as for a bridge: gateways in pods are clients to each other",
}, {
	scenario: "one URL for all models", forget: []string{"gateway default/poc-gateway"},
	why: "as for a bridge",
}, {
	scenario: "three providers behind one gateway", forget: []string{"gateway default/poc-gateway"},
	why: "as for a bridge",
}, {
	scenario: "the registry says whose a model is", forget: []string{"gateway default/poc-gateway"},
	why: "as for a bridge",
}, {
	scenario: "a model of the registry answers", forget: []string{"gateway default/poc-gateway"},
	why: "as for a bridge",
}, {
	scenario: "what no route should see is refused", requests: []int{8}, forget: []string{"record host", "record method", "record path"},
	why: "Envoy refuses a path with a fragment before its filters are told of the request",
}, {
	scenario: "what no route should see is refused", requests: []int{15}, forget: []string{"calls"},
	why: "Envoy drops HTTP2-Settings with the Upgrade that it belongs to",
}, {
	scenario: "gateway-65 gateway-66", requests: []int{10}, forget: []string{"status", "header", "body", "calls", "records"},
	why: "Envoy compares names of query parameters as they are written, with their escapes",
}, {
	scenario: "gateway-79 gateway-80", requests: []int{2, 4}, forget: []string{"after"},
	why: "Envoy's time-outs take real time",
}, {
	scenario: "gateway-79 gateway-80", requests: []int{6}, unplayed: true,
	why: "Envoy's time-outs take real time, here an hour",
}, {
	scenario: "random", forget: []string{"sights"},
	why: "what was seen stays, and the requests above went elsewhere",
}, {
	scenario: "random", forget: []string{"status", "header", "body", "calls", "records"},
	when: func(s *Step) bool { return strings.Contains(s.Send, "?%76=") },
	why:  "Envoy compares names of query parameters as they are written, with their escapes",
}, {
	scenario: "random", forget: []string{"header", "calls", "record id"},
	when: func(s *Step) bool { return len(fields(s.With)["X-Request-Id"]) > 1 },
	why:  "Envoy makes one value of two request ids, where the native plane takes the first",
}}

// of returns the differences of a scenario.
func of(title string) (out []difference) {
	for _, d := range differences {
		if strings.Contains(title, d.scenario) {
			out = append(out, d)
		}
	}
	return out
}

func (d *difference) concerns(request int, s *Step) bool {
	return (len(d.requests) == 0 || slices.Contains(d.requests, request)) && (d.when == nil || d.when(s))
}

// listed reports whether a request is said to differ.
func listed(known []difference, request int) bool {
	return slices.ContainsFunc(known, func(d difference) bool { return slices.Contains(d.requests, request) })
}

// compared is what is compared of an observation of a request.
func compared(known []difference, request int, s *Step, o Observed) Observed {
	for _, d := range known {
		if d.concerns(request, s) {
			for _, what := range d.forget {
				o = o.without(what)
			}
		}
	}
	return o
}

func (o Observed) without(what string) Observed {
	switch what {
	case "status":
		o.Status = 0
	case "header":
		o.Header = nil
	case "body":
		o.Body = ""
	case "broken":
		o.Broken, o.Stuck = false, ""
	case "after":
		o.After = 0
	case "calls":
		o.Calls = nil
	case "records":
		o.Records = nil
	case "sights":
		o.Sights = nil
	default:
		if gateway, ok := strings.CutPrefix(what, "gateway "); ok {
			o.Records = slices.DeleteFunc(slices.Clone(o.Records), func(r map[string]any) bool { return r["gateway"] == gateway })
			return o
		}
		field, ok := strings.CutPrefix(what, "record ")
		if !ok {
			panic("BUG: nothing is called " + what)
		}
		records := make([]map[string]any, len(o.Records))
		for i, r := range o.Records {
			records[i] = map[string]any{}
			for name, v := range r {
				if name != field {
					records[i][name] = v
				}
			}
		}
		o.Records = records
	}
	return o
}
