package plan

import "strings"

// Backend is one destination with one port.
type Backend struct {
	Name      string     `json:"name"`                // "<ns>-<name>-<port>", "<ns>-synsvc-<service>-<targetPort>"
	Object    string     `json:"object"`              // "XBackendDestination default/external-model-backend"
	Protocol  Protocol   `json:"protocol"`            //
	Host      string     `json:"host,omitempty"`      // DNS name or IP literal to dial; "" when Endpoints decide
	Port      int32      `json:"port,omitempty"`      // with Host
	Endpoints []Endpoint `json:"endpoints,omitempty"` // sorted; ready ones only
	Authority string     `json:"authority,omitempty"` // Host header sent upstream; a rule rewrites it, unless it is a name and there are Accounts; "" keeps the client's
	TLS       *ClientTLS `json:"tls,omitempty"`       // nil = cleartext
	// Accounts are the platform's credentials for the backend, of which the
	// first whose When holds is used. Where there are any, nothing that a
	// client could be known by is sent.
	Accounts []Account `json:"accounts,omitempty"`
	// KeepCredential: the credential that a policy consumed is passed on
	// (Service maas-api, annotation egret.dev/forward-credential: "true").
	KeepCredential bool `json:"keepCredential,omitempty"`
	// Platform: the backend is a Service of this cluster, chosen as one, which
	// may be told by X-MaaS-* headers who calls. Towards all others they are
	// dropped, whoever set them.
	Platform bool `json:"platform,omitempty"`
	// Fronts is the Gateway (namespace/name) that the backend's Service stands
	// before, where that Gateway has pods of its own: a second hop of the call,
	// which then accounts for nothing (Record.Inner).
	Fronts string `json:"fronts,omitempty"`
	// AskUsage is false for backends that opted out of stream_options
	// (annotation egret.dev/ask-usage: "false").
	AskUsage bool `json:"askUsage"`
	// Fence limits which addresses Host may lead to; nil leaves it to what is
	// refused to all.
	Fence *Fence `json:"fence,omitempty"`
	// Proxy is asked to connect to Host; nil connects directly.
	Proxy *Proxy `json:"proxy,omitempty"`
	// Parent says that the backend is another gateway (annotation egret.dev/parent:
	// "true"): it tries again where that is called for, and is told which gateways
	// a call has passed (acceptance gateway 115).
	Parent bool   `json:"parent,omitempty"`
	Fault  *Fault `json:"fault,omitempty"` // the backend as a whole cannot serve
	// Path replaces that of requests, unless their rule rewrites it: the endpoint
	// of an MCP server (acceptance gateway 94). "" keeps it.
	Path string `json:"path,omitempty"`
}

// ProofHeader shows that a gateway calls: to the MaaS API, which believes the
// other X-MaaS-* headers of nobody else, a gateway's own token; to another
// gateway, a word that only gateways with the same ledger can say.
const ProofHeader = "X-Maas-Proof"

// Trusted reports whether a header field is one of those by which the
// platform's own services tell each other who calls: X-MaaS-*, also with "_"
// for "-", as servers read it that turn fields into variables (CGI, WSGI).
func Trusted(field string) bool {
	const prefix = "x-maas-"
	return len(field) >= len(prefix) && strings.EqualFold(strings.ReplaceAll(field[:len(prefix)], "_", "-"), prefix)
}

// Protocol is what is spoken to a backend.
type Protocol string

// Protocols of backends.
const (
	HTTP      Protocol = "http"  // HTTP/1.1
	HTTP2     Protocol = "http2" // h2 over TLS, h2c in the clear
	WebSocket Protocol = "ws"
	MCP       Protocol = "mcp"
)

// Endpoint is one address of a backend. Exactly one of Address and Gateway is
// set: Gateway ("namespace/name") is one of our own Gateways, reached in this
// process without a name or, where it is elsewhere, by its Service.
type Endpoint struct {
	Address string `json:"address,omitempty"` // IP literal
	Gateway string `json:"gateway,omitempty"`
	Port    int32  `json:"port"`
}

// ClientTLS is TLS originated towards a backend.
type ClientTLS struct {
	SNI        string   `json:"sni,omitempty"`
	CAs        []string `json:"cas,omitempty"`      // names of Secrets of kind ca; none = the system's
	Names      []string `json:"names,omitempty"`    // one of them must be in the certificate; none = SNI or Host
	Identity   string   `json:"identity,omitempty"` // name of a Secret of kind tls: the client certificate
	SkipVerify bool     `json:"skipVerify,omitempty"`
	// CRLs are names of Secrets of kind crl. Every certificate of the chain, or
	// with LeafCRL the server's own, must be in the scope of one of them that is
	// in force, and not on it.
	CRLs    []string `json:"crls,omitempty"`
	LeafCRL bool     `json:"leafCRL,omitempty"`
	// Pins are, in base64, SHA-256 of public keys (SPKI), of which the server's
	// must be one, also where SkipVerify leaves everything else unchecked.
	Pins       []string `json:"pins,omitempty"`
	MinVersion string   `json:"minVersion,omitempty"` // "1.3"; "" = 1.2
}

// Secret is secret material by name and digest. Its bytes are kept out of
// every printed form.
type Secret struct {
	Name   string     `json:"name"` // "secret/<ns>/<name>" for a key pair, the Kind behind it for others; "configmap/<ns>/<name>"
	Kind   SecretKind `json:"kind"`
	Digest string     `json:"digest"` // changes when the bytes do
	Data   []Item     `json:"-"`      // sorted by Key
}

// SecretKind says which items a Secret has.
type SecretKind string

// Kinds of secrets and their items.
const (
	SecretTLS    SecretKind = "tls"    // tls.crt, tls.key
	SecretCA     SecretKind = "ca"     // ca.crt
	SecretCRL    SecretKind = "crl"    // ca.crl
	SecretAPIKey SecretKind = "apikey" // api_key
	SecretOpaque SecretKind = "opaque"
)

// Item is one entry of a Secret.
type Item struct {
	Key   string
	Value Bytes
}

// Bytes holds secret bytes; every printer shows "[redacted]".
type Bytes []byte

func (Bytes) String() string               { return redacted }
func (Bytes) GoString() string             { return redacted }
func (Bytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"

// Item returns the bytes under key, nil when there are none.
func (s *Secret) Item(key string) []byte {
	for i := range s.Data {
		if s.Data[i].Key == key {
			return s.Data[i].Value
		}
	}
	return nil
}
