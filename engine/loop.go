package engine

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// loopHeader names the gateways that a request has passed (RFC 8586, where it
// is that of content delivery networks). Others' entries are passed on as they
// are and mean nothing here. A client that writes one of ours has its own
// request refused and nobody else's.
const loopHeader = "Cdn-Loop"

const (
	loopPrefix = "egret-"
	// mostHops bounds how many gateways of this kind a request passes.
	mostHops = 8
)

// loopTag is by what a gateway knows that a request has passed it. It gives
// nobody the gateway's name, and differs between clusters.
func loopTag(instance, gateway string) string {
	return loopPrefix + plan.Digest([]string{"loop", instance, gateway})[:12]
}

// looped refuses a request that has come back, or that goes round where
// somebody takes the tags away in between (acceptance gateway 115). To send it
// on would make more of it each time.
func (x *Exchange) looped() *Refusal {
	tag, hops := x.program.tags[x.head.Gateway], 0
	for _, v := range x.header[loopHeader] {
		for entry := range strings.SplitSeq(v, ",") {
			id, _, _ := strings.Cut(entry, ";")
			id = strings.ToLower(textproto.TrimString(id))
			if id == tag && tag != "" {
				return x.shape(http.StatusLoopDetected, "loop", "the request has come back to a gateway that it has passed")
			}
			if strings.HasPrefix(id, loopPrefix) {
				hops++
			}
		}
	}
	if hops >= mostHops {
		return x.shape(http.StatusLoopDetected, "loop", "the request has passed too many gateways")
	}
	return nil
}

// tag marks a request that goes where other gateways may be: to a backend that
// is one, and to Services of the cluster. Providers are not told of it.
func (x *Exchange) tag(h http.Header, b *plan.Backend) {
	tag := x.program.tags[x.head.Gateway]
	own := len(b.Endpoints) > 0 && b.Endpoints[0].Gateway != ""
	if tag != "" && (b.Parent || b.Platform || own) {
		h.Set(loopHeader, strings.Join(append(h[loopHeader], tag), ", "))
	}
}
