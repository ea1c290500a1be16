package pod

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// proof is what shows the MaaS API that one of our gateways calls. The file is
// renewed by the kubelet.
type proof struct {
	file    string
	service string // plan.Backend.Object of the MaaS API
	host    string // name.namespace of its Service
	hop     hop

	read atomic.Pointer[proofRead]
}

type proofRead struct {
	token string
	at    time.Time
}

// proofFor is how long a token is used before the file is read again.
const proofFor = time.Minute

// towards sets the MaaS API's Service, namespace/name. It gets the proof and
// nobody else.
func (p *proof) towards(service string) {
	namespace, name, _ := strings.Cut(service, "/")
	p.service, p.host = "Service "+service, name+"."+namespace
}

// of is the proof for a backend, "" for all but the MaaS API and other Gateways.
func (p *proof) of(b *plan.Backend) string {
	if b.Object == p.service {
		return p.token()
	}
	return p.hop.to(b.Fronts)
}

func (p *proof) token() string {
	now := time.Now()
	if r := p.read.Load(); r != nil && now.Sub(r.at) < proofFor {
		return r.token
	}
	text, err := os.ReadFile(p.file)
	if err != nil {
		return "" // the API refuses and says why
	}
	r := &proofRead{strings.TrimSpace(string(text)), now}
	p.read.Store(r)
	return r.token
}

// on puts the proof on what is asked of the MaaS API over next: the tier lookup
// of an AuthPolicy.
func (p *proof) on(next http.RoundTripper) http.RoundTripper { return proven{p, next} }

type proven struct {
	proof *proof
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t proven) RoundTrip(r *http.Request) (*http.Response, error) {
	if host := strings.TrimSuffix(strings.TrimSuffix(r.URL.Hostname(), ".cluster.local"), ".svc"); host == t.proof.host {
		if token := t.proof.token(); token != "" {
			r = r.Clone(r.Context())
			r.Header.Set(plan.ProofHeader, token)
		}
	}
	return t.next.RoundTrip(r)
}
