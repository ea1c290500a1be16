package extproc

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/metadata"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
)

// pseudo are the parts of a head that are no fields.
type pseudo struct {
	method, scheme, authority, path string
	status                          int
}

// read takes a head apart.
func read(m *core.HeaderMap) (p pseudo, h http.Header) {
	h = make(http.Header, len(m.GetHeaders()))
	for _, f := range m.GetHeaders() {
		v := f.Value
		if v == "" {
			v = string(f.RawValue)
		}
		switch f.Key {
		case ":method":
			p.method = v
		case ":scheme":
			p.scheme = v
		case ":authority":
			p.authority = v
		case ":path":
			p.path = v
		case ":status":
			p.status, _ = strconv.Atoi(v)
		case "":
		default:
			if f.Key[0] != ':' {
				name := textproto.CanonicalMIMEHeaderKey(f.Key)
				h[name] = append(h[name], v)
			}
		}
	}
	return p, h
}

// added are the fields that Envoy itself puts into a request. What the client
// said under these names is gone by then.
var added = []string{"X-Forwarded-Proto", "X-Envoy-External-Address"}

// head is what the engine is told of a request.
func (f *flow) head(m *extproc.ProcessingRequest, p pseudo, h http.Header) engine.Head {
	out := head(f.meta, m, p, h)
	out.Inner = f.server.opts.Inner(out.Gateway, h)
	return out
}

// head is what the engine wants to know of a request. engine.NoEntry stands for an
// entry where Envoy matched none.
func head(meta metadata.MD, m *extproc.ProcessingRequest, p pseudo, h http.Header) engine.Head {
	port, _ := strconv.ParseInt(first(meta, envoy.MetaPort), 10, 32)
	out := engine.Head{
		Gateway: first(meta, envoy.MetaGateway), Port: int32(port), Listener: first(meta, envoy.MetaListener),
		Entry: first(meta, envoy.MetaEntry), Digest: first(meta, envoy.MetaDigest),
		Method: p.method, Scheme: p.scheme, Host: p.authority, Path: p.path,
		Protocol: attribute(m, "request.protocol"), Header: h.Clone(), Length: -1,
	}
	if out.Entry == "" {
		out.Entry = engine.NoEntry
	}
	if n, err := strconv.Atoi(first(meta, envoy.MetaTarget)); err == nil {
		out.Target = n + 1
	}
	out.Remote, _ = netip.ParseAddrPort(attribute(m, "source.address"))
	for _, name := range added {
		delete(out.Header, name)
	}
	switch n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); {
	case m.GetRequestHeaders().GetEndOfStream(), h["Upgrade"] != nil:
		out.Length = 0
	case err == nil:
		out.Length = n
	}
	return out
}

// attribute is a value that the filter was configured to tell.
func attribute(m *extproc.ProcessingRequest, name string) string {
	for _, s := range m.GetAttributes() {
		if v, ok := s.GetFields()[name]; ok {
			return v.GetStringValue()
		}
	}
	return ""
}
