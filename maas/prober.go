package maas

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Verify says whose certificates a probe checks.
type Verify int

// Values of Prober.Verify.
const (
	// VerifyOutside checks all but Service names (ending in .svc or
	// .svc.cluster.local), whose certificates KServe usually signs itself. The
	// reference checks none. It is the default.
	VerifyOutside Verify = iota
	VerifyAll
	VerifyNone
)

var verifyNames = [...]string{VerifyOutside: "outside", VerifyAll: "all", VerifyNone: "none"}

// MarshalText implements encoding.TextMarshaler: outside, all or none.
func (v Verify) MarshalText() ([]byte, error) { return []byte(verifyNames[v]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verify) UnmarshalText(text []byte) error {
	i := slices.Index(verifyNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of outside, all and none", text)
	}
	*v = Verify(i)
	return nil
}

// Prober asks local models for their lists. Its zero value verifies
// certificates outside the cluster only. Redirects are not followed and no
// proxy of the environment is used, so the caller's token goes to the address
// that was named and nowhere else; what no backend may be (plan.Refused),
// such as the metadata services of clouds, is not dialled.
type Prober struct {
	Verify Verify
	// Transport replaces the network, for tests and for models inside the
	// process; nil means HTTP over TCP.
	Transport http.RoundTripper

	setup          sync.Once
	checked, loose http.RoundTripper
}

func (p *Prober) send(req *http.Request) (*http.Response, error) {
	client := http.Client{
		Transport:     p.transport(req.URL),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.Do(req)
}

func (p *Prober) transport(to *url.URL) http.RoundTripper {
	if p.Transport != nil {
		return p.Transport
	}
	p.setup.Do(func() { p.checked, p.loose = newTransport(false), newTransport(true) })
	switch {
	case p.Verify == VerifyNone, p.Verify == VerifyOutside && serviceName(to.Hostname()):
		return p.loose
	}
	return p.checked
}

// serviceName reports whether a host is the name of a Kubernetes Service.
func serviceName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc.cluster.local")
}

func newTransport(trusting bool) *http.Transport {
	dialer := &net.Dialer{Timeout: probeWithin, Control: refuseMetadata}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: trusting},
		TLSHandshakeTimeout:    probeWithin,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// refuseMetadata looks at the address a name led to, just before it is dialled.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return plan.Refused(to.Addr())
}
