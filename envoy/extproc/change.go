package extproc

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
)

// own are the fields by which Envoy frames a message and keeps a connection;
// it makes them itself out of what is really sent.
var own = map[string]bool{"Connection": true, "Upgrade": true, "Transfer-Encoding": true, "Trailer": true, "Keep-Alive": true}

// change is the difference between two heads.
type change struct{ extproc.HeaderMutation }

// towards makes the fields that Envoy has those that are wanted.
func (c *change) towards(has, wanted http.Header) {
	for name := range has {
		if _, stays := wanted[name]; !stays && !own[name] && name != "Content-Length" {
			c.remove(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !own[name] && !slices.Equal(has[name], wanted[name]) {
			c.set(strings.ToLower(name), wanted[name]...)
		}
	}
}

func (c *change) remove(name string) {
	c.RemoveHeaders = append(c.RemoveHeaders, strings.ToLower(name))
}

// set replaces a field's values.
func (c *change) set(name string, values ...string) {
	for i, v := range values {
		o := &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, RawValue: []byte(v)}}
		if i == 0 {
			o.AppendAction = core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		} else {
			// Envoy reads the action as if it replaced, unless this says so.
			//lint:ignore SA1019 the only way (docs/decisions/012-ext-proc.md)
			o.Append = wrapperspb.Bool(true)
		}
		c.SetHeaders = append(c.SetHeaders, o)
	}
}

// length is said where a body is replaced: Envoy holds the new one against it.
func (c *change) length(n int) { c.set("content-length", strconv.Itoa(n)) }

// mutation is c for a message, nil when nothing changes.
func (c *change) mutation() *extproc.HeaderMutation {
	if len(c.SetHeaders) == 0 && len(c.RemoveHeaders) == 0 {
		return nil
	}
	return &c.HeaderMutation
}

// body replaces a body, or a piece of one.
func body(b []byte) *extproc.BodyMutation {
	if len(b) == 0 {
		return &extproc.BodyMutation{Mutation: &extproc.BodyMutation_ClearBody{ClearBody: true}}
	}
	return &extproc.BodyMutation{Mutation: &extproc.BodyMutation_Body{Body: b}}
}

// immediate is an answer of our own in the place of all that would follow.
func immediate(r *engine.Refusal, id string) *extproc.ProcessingResponse {
	var c change
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if name != "Content-Length" && !own[name] {
			c.set(strings.ToLower(name), r.Header[name]...)
		}
	}
	if id != "" {
		c.set("x-request-id", id)
	}
	c.remove(envoy.HeaderEnds)
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extproc.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(r.Status)},
			Headers: c.mutation(), Body: r.Body, Details: "egret_" + r.Code,
		},
	}}
}

// Answers to the kinds of messages.

func toRequestHeaders(c *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{Response: c}}}
}

func toRequestBody(c *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{Response: c}}}
}

func toResponseHeaders(c *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extproc.HeadersResponse{Response: c}}}
}

func toResponseBody(c *extproc.CommonResponse) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{ResponseBody: &extproc.BodyResponse{Response: c}}}
}
