package compile

import (
	"strings"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
)

// defaultMCP is where MCP servers are by default (XBackendDestination's
// protocolOptions.mcp.path).
const defaultMCP = "/mcp"

// speakMCP makes requests go to the one path of a port's MCP server, whatever
// path the route is at; a rule that rewrites the path decides for itself
// (acceptance gateway 94).
func (b *backend) speakMCP(port *v0alpha0.Port) {
	b.plan.Protocol, b.plan.Path = plan.MCP, defaultMCP
	o := port.ProtocolOptions
	if o == nil || o.MCP == nil || o.MCP.Path == "" {
		return
	}
	b.plan.Path = o.MCP.Path
	if path := b.plan.Path; !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '?' || r == '#' }) {
		b.unable(500, reasonInvalid, "port %d: protocolOptions.mcp.path %q is no path; begin it with a slash and leave out queries and fragments", port.Number, path)
	}
}
