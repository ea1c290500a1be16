package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// zone is a DNS that can be changed, and a network that notes who was called.
type zone struct {
	mu     sync.Mutex
	names  map[string]string // addresses separated by spaces; "" = no answer, "gone" = there is no such name
	asked  int
	last   string // as it was asked for
	called []string
	away   map[string]bool // addresses that do not answer
}

func (z *zone) set(host, addresses string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[host] = addresses
}

func (z *zone) lookup(_ context.Context, host string) (out []netip.Addr, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	z.last = host
	host = strings.TrimSuffix(host, ".")
	switch z.names[host] {
	case "":
		return nil, errors.New("no such host")
	case "gone":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for a := range strings.FieldsSeq(z.names[host]) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func (z *zone) connect(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	z.mu.Lock()
	z.called = append(z.called, at.String())
	away := z.away[at.Addr().String()]
	z.mu.Unlock()
	if away {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c, far := net.Pipe()
	context.AfterFunc(context.WithoutCancel(ctx), func() { far.Close() })
	return c, nil
}

func (z *zone) calls() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := strings.Join(z.called, " ")
	z.called = nil
	return out
}

func (z *zone) dialer() *Dialer { return &Dialer{Lookup: z.lookup, connect: z.connect} }

// call dials and returns what was called, or the error.
func (z *zone) call(t *testing.T, d *Dialer, address string, v via) string {
	t.Helper()
	c, err := d.dialVia(t.Context(), "tcp", address, v)
	called := z.calls()
	if err != nil {
		if !Connecting(err) {
			t.Errorf("%v is not told as a failure to connect", err)
		}
		return strings.TrimSpace(called + " error " + err.Error())
	}
	c.Close()
	return called
}

// TestAddresses: what a name leads to is checked where it is connected to.
func TestAddresses(t *testing.T) {
	around, err := NewFence([]string{"10.96.0.0/12"}, []string{"10.96.0.77/32"})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := NewLists(&plan.Fence{Only: []string{"192.0.2.0/24", "2001:db8::/32"}, Deny: []string{"192.0.2.66/32"}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(title, host, found string, v via, want string) {
		t.Helper()
		t.Run(title, func(t *testing.T) {
			z := &zone{names: map[string]string{strings.TrimSuffix(host, literalSuffix): found}}
			d := z.dialer()
			d.Outside = around.Outside
			got := z.call(t, d, net.JoinHostPort(host, "443"), v)
			if got != want && (!strings.Contains(want, "error") || !strings.Contains(got, want)) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	f("gateway-85 an IPv6-only name is reached", "six.example.com", "2001:db8::7", via{}, "[2001:db8::7]:443")
	f("gateway-84 a literal of IPv4", "192.0.2.7", "", via{}, "192.0.2.7:443")
	f("gateway-84 a literal of IPv6", "2001:db8::7"+literalSuffix, "", via{}, "[2001:db8::7]:443")
	f("a metadata service among the answers is left out", "a.example.com", "169.254.169.254 192.0.2.7", via{}, "192.0.2.7:443")
	f("and alone refused", "a.example.com", "169.254.169.254", via{}, "error address 169.254.169.254 is never dialled")
	f("a name from outside does not lead into the cluster", "a.example.com", "10.96.0.1", via{}, "error address 10.96.0.1 is in 10.96.0.0/12, which is the cluster's own")
	f("nor does a literal", "10.96.0.1"+literalSuffix, "", via{}, "error address 10.96.0.1 is in 10.96.0.0/12")
	f("unless it is an exception", "a.example.com", "10.96.0.77", via{}, "10.96.0.77:443")
	f("a name of the cluster does", "a.ns.svc.cluster.local", "10.96.0.1", via{}, "10.96.0.1:443")
	for _, v := range []via{{}, {fence: lists}, {proxy: &proxy{host: "192.0.2.3", port: 3128}}} {
		title := fmt.Sprintf("(fence %v, proxy %v)", v.fence != nil, v.proxy != nil)
		f("but none that spells an address "+title, "10-96-0-1.ns.pod.cluster.local", "10.96.0.1", v, "error 10-96-0-1.ns.pod.cluster.local is a name of the cluster and not a Service's")
		f("nor one below a Service's "+title, "_a._b.x.ns.svc.cluster.local", "10.96.0.1", v, "error _a._b.x.ns.svc.cluster.local is a name of the cluster and not a Service's")
		f("also if it leads outside "+title, "_a._b.x.ns.svc", "192.0.2.7", v, "error _a._b.x.ns.svc is a name of the cluster and not a Service's")
	}
	f("the operator's list lets pass", "a.example.com", "192.0.2.7", via{fence: lists}, "192.0.2.7:443")
	f("and refuses what it does not name", "a.example.com", "198.51.100.7", via{fence: lists}, "error address 198.51.100.7 is in none of the ranges")
	f("and what it denies", "a.example.com", "192.0.2.66", via{fence: lists}, "error address 192.0.2.66 is in 192.0.2.66/32, which the operator denies")
	f("also in IPv6 clothes", "a.example.com", "::ffff:192.0.2.66 64:ff9b::192.0.2.66", via{fence: lists}, "error address 192.0.2.66 is in 192.0.2.66/32")
	f("it does not concern the cluster's names", "a.ns.svc.cluster.local", "10.96.0.1", via{fence: lists}, "10.96.0.1:443")
	if _, err := NewLists(&plan.Fence{Deny: []string{"10.0.0.0/33"}}); err == nil {
		t.Error("a range that cannot be read denies nothing")
	}
}

// TestOwnCalls: what policies call may be named in short, and is held to the same.
func TestOwnCalls(t *testing.T) {
	around, err := NewFence([]string{"10.96.0.0/12"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(address, want string) {
		t.Helper()
		z := &zone{names: map[string]string{"maas-api.ns.svc.cluster.local": "10.96.0.5", "10-96-0-5.ns.pod.cluster.local": "10.96.0.5", "evil.test": "10.96.0.5", "good.test": "192.0.2.1"}}
		d := z.dialer()
		d.Outside = around.Outside
		c, err := d.own(t.Context(), "tcp", address)
		got := z.calls()
		if err != nil {
			got = err.Error()
		} else {
			c.Close()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	f("maas-api.ns:80", "10.96.0.5:80")
	f("maas-api.ns.svc:80", "10.96.0.5:80")
	f("good.test:443", "192.0.2.1:443")
	f("evil.test:443", "address 10.96.0.5 is in 10.96.0.0/12")
	f("169.254.169.254:80", "address 169.254.169.254 is never dialled")
	f("10.96.0.5:443", "address 10.96.0.5 is in 10.96.0.0/12")
	f("[::ffff:10.96.0.5]:443", "address 10.96.0.5 is in 10.96.0.0/12")
	f("192.0.2.1:443", "192.0.2.1:443")
	f("10-96-0-5.ns.pod.cluster.local:443", "10-96-0-5.ns.pod.cluster.local is a name of the cluster and not a Service's")
}

// TestRebinding: a name that changes its mind is checked anew at each dial, and
// what was asked for it before is of no use.
func TestRebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string]string{"evil.example.com": "192.0.2.1"}}
		d := z.dialer()
		dial := func() string { return z.call(t, d, "evil.example.com:443", via{}) }
		if got := dial(); got != "192.0.2.1:443" {
			t.Fatal(got)
		}
		z.set("evil.example.com", "169.254.169.254")
		time.Sleep(fresh)
		if got := dial(); !strings.HasPrefix(got, "error address 169.254.169.254") {
			t.Errorf("after the answer changed: %s", got)
		}
		// The answer changes between the lookup and the connection.
		flips := atomic.Int64{}
		d = z.dialer()
		d.Guard = func(netip.Addr) error {
			if flips.Add(1) == 1 {
				return nil
			}
			return errors.New("changed its mind")
		}
		d.connect = nil
		if _, err := d.Dial(t.Context(), "tcp", "192.0.2.1:443"); err == nil || !strings.Contains(err.Error(), "changed its mind") {
			t.Errorf("the socket itself is not checked: %v", err)
		}
	})
}

// TestNames: a name is looked up once in five seconds however many connections
// want it, connections spread over its addresses, and a DNS that is away takes
// nothing from what serves.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string]string{"a.example.com": "192.0.2.1 192.0.2.2 2001:db8::1"}}
		d := z.dialer()
		seen := map[string]int{}
		for range 10 {
			seen[z.call(t, d, "A.example.com:443", via{})]++
		}
		if len(seen) != 2 || seen["192.0.2.1:443"] != 5 || z.asked != 1 {
			t.Errorf("%v with %d lookups", seen, z.asked)
		}
		z.set("a.example.com", "192.0.2.3")
		if got := z.call(t, d, "a.example.com:443", via{}); got == "192.0.2.3:443" {
			t.Error("looked up for each connection")
		}
		time.Sleep(fresh)
		if got := z.call(t, d, "a.example.com:443", via{}); got != "192.0.2.3:443" {
			t.Errorf("the new address is not used: %s", got)
		}
		z.set("a.example.com", "")
		time.Sleep(fresh)
		if got := z.call(t, d, "a.example.com:443", via{}); got != "192.0.2.3:443" {
			t.Errorf("while DNS is away: %s", got)
		}
		time.Sleep(stale)
		if got := z.call(t, d, "a.example.com:443", via{}); got != "error look up a.example.com: no such host" {
			t.Errorf("long after: %s", got)
		}
		z.set("a.example.com", "192.0.2.4")
		z.call(t, d, "a.example.com:443", via{})
		z.set("a.example.com", "gone")
		time.Sleep(fresh)
		if got := z.call(t, d, "a.example.com:443", via{}); got != "192.0.2.4:443" {
			t.Errorf("when DNS said once that the name is gone: %s", got)
		}
		time.Sleep(fresh)
		if got := z.call(t, d, "a.example.com:443", via{}); !strings.Contains(got, "no such host") {
			t.Errorf("when it said so twice: %s", got)
		}
		for i := range mostNames + 10 {
			z.set(fmt.Sprint(i), "192.0.2.1")
			z.call(t, d, fmt.Sprint(i, ":80"), via{})
		}
		if n := len(d.names.known); n > mostNames {
			t.Errorf("%d names are remembered", n)
		}
	})
}

// TestRace: a family that does not answer holds a connection up for a moment.
func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string]string{"a.example.com": "2001:db8::1 192.0.2.1"}, away: map[string]bool{"2001:db8::1": true}}
		began := time.Now()
		if got := z.call(t, z.dialer(), "a.example.com:443", via{}); got != "[2001:db8::1]:443 192.0.2.1:443" || time.Since(began) != headStart {
			t.Errorf("%s after %v", got, time.Since(began))
		}
		z.away["192.0.2.1"] = true
		began = time.Now()
		if got := z.call(t, z.dialer(), "a.example.com:443", via{}); !strings.Contains(got, "error") || time.Since(began) > plan.DefaultConnectTimeout {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
}

// TestConnectionLife: connections to a name get no new requests for ever, and
// those to endpoints, whose changes are told, do.
func TestConnectionLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(&Dialer{})
		pl := &plan.Plan{Backends: []plan.Backend{
			{Name: "name", Host: "a.example.com", Port: 80, Protocol: plan.HTTP},
			{Name: "literal", Host: "192.0.2.1", Port: 80, Protocol: plan.HTTP},
			{Name: "service", Endpoints: []plan.Endpoint{{Address: "192.0.2.1", Port: 80}}, Protocol: plan.HTTP},
		}}
		p.Load(pl)
		of := func(i int) *http.Transport {
			tr, _, _, err := p.Links().Target(&pl.Backends[i])
			if err != nil {
				t.Fatal(err)
			}
			return tr
		}
		was := [3]*http.Transport{of(0), of(1), of(2)}
		if was[1] != was[2] || was[0] == was[1] {
			t.Error("a name shares connections with what is no name")
		}
		time.Sleep(connectionLife - time.Nanosecond)
		if of(0) != was[0] {
			t.Error("too early")
		}
		time.Sleep(time.Nanosecond)
		if of(0) == was[0] || of(1) != was[1] || of(2) != was[2] {
			t.Error("not what was to be changed")
		}
	})
}

// TestFencedApart: backends of different lists share no connection, so that one
// namespace cannot use what another may.
func TestFencedApart(t *testing.T) {
	f := func(a, b plan.Backend) {
		t.Helper()
		if shapeOf(&a, nil) == shapeOf(&b, nil) {
			t.Errorf("%+v and %+v share connections", a, b)
		}
	}
	at := plan.Backend{Host: "a.example.com", Port: 80, Protocol: plan.HTTP}
	fenced, other, proxied := at, at, at
	fenced.Fence = &plan.Fence{Deny: []string{"10.0.0.0/8"}}
	other.Fence = &plan.Fence{Only: []string{"10.0.0.0/8"}}
	proxied.Proxy = &plan.Proxy{Host: "proxy", Port: 3128}
	f(at, fenced)
	f(fenced, other)
	f(at, proxied)
}

// connectProxy tunnels to a backend whatever it is asked for, and notes that.
type connectProxy struct {
	to     string
	mu     sync.Mutex
	asked  []string
	status int
}

func (p *connectProxy) serve(t *testing.T, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.asked = append(p.asked, req.Method+" "+req.RequestURI+" "+req.Header.Get("Proxy-Authorization"))
		status := p.status
		p.mu.Unlock()
		if status != 0 {
			fmt.Fprintf(c, "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", status)
			c.Close()
			continue
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { io.Copy(far, r); far.Close() }()
		go func() { io.Copy(c, far); c.Close() }()
	}
}

// TestTunnel: TLS goes through the proxy to the backend, which is verified as
// without one; the proxy sees a name and its own credentials.
func TestTunnel(t *testing.T) {
	backend := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "from "+r.Host+r.Header.Get("Proxy-Authorization"))
	}))
	defer backend.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	through := &connectProxy{to: backend.Listener.Addr().String()}
	go through.serve(t, l)
	port := int32(l.Addr().(*net.TCPAddr).Port)
	roots := x509.NewCertPool()
	roots.AddCert(backend.Certificate())
	call := func(host string) (string, error) {
		z := &zone{names: map[string]string{"proxy.corp": "127.0.0.1"}} // and nothing else is known here
		d := &Dialer{Lookup: z.lookup}
		secret := &plan.Secret{Name: "s", Data: []plan.Item{{Key: "password", Value: plan.Bytes("canary")}, {Key: "username", Value: plan.Bytes("egret")}}}
		v, err := viaOf(&plan.Backend{Proxy: &plan.Proxy{Host: "proxy.corp", Port: port, Secret: "s"}}, map[string]*plan.Secret{"s": secret})
		if err != nil {
			t.Fatal(err)
		}
		tr := NewPool(d).transport(plan.HTTP, &tls.Config{RootCAs: roots, ServerName: strings.TrimSuffix(host, literalSuffix)}, v)
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+":443/", nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	if got, err := call("example.com"); got != "from example.com:443" && got != "from example.com" {
		t.Errorf("%q, %v", got, err)
	}
	through.mu.Lock()
	if got := through.asked; len(got) != 1 || got[0] != "CONNECT example.com:443 Basic ZWdyZXQ6Y2FuYXJ5" {
		t.Errorf("the proxy was asked %q", got)
	}
	through.mu.Unlock()
	if _, err := call("other.test"); err == nil || !Connecting(err) {
		t.Errorf("a backend with a certificate for another name: %v", err)
	}
	if _, err := call("169.254.169.254" + literalSuffix); err == nil || !strings.Contains(err.Error(), "never dialled") {
		t.Errorf("a literal of a metadata service: %v", err)
	}
	through.mu.Lock()
	through.status = 407
	through.mu.Unlock()
	if _, err := call("example.com"); err == nil || !strings.Contains(err.Error(), "answers 407 to CONNECT example.com:443") || !Connecting(err) {
		t.Errorf("a proxy that refuses: %v", err)
	}
	if _, err := viaOf(&plan.Backend{Proxy: &plan.Proxy{Host: "p", Port: 1, Secret: "gone"}}, nil); err == nil {
		t.Error("credentials that are not there are done without")
	}
}

// TestRelay: who connects to a backend's socket is in a tunnel to it.
func TestRelay(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "through") }))
	defer backend.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	through := &connectProxy{to: backend.Listener.Addr().String()}
	go through.serve(t, l)
	r := &Relay{Dialer: &Dialer{}, Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	b := plan.Backend{Name: "b", Host: "far.test", Port: 80, Proxy: &plan.Proxy{Host: "127.0.0.1", Port: int32(l.Addr().(*net.TCPAddr).Port)}}
	if err := r.Load(&plan.Plan{Backends: []plan.Backend{b, {Name: "direct", Host: "a.test", Port: 80}}}); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.Socket(&b))
	}}}
	res, err := client.Get("http://far.test/")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(got) != "through" || len(through.asked) != 1 || through.asked[0] != "CONNECT far.test:80 " {
		t.Errorf("%q by %q", got, through.asked)
	}
	client.CloseIdleConnections()
	if err := r.Load(&plan.Plan{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get("http://far.test/"); err == nil {
		t.Error("a socket of a backend that is gone leads somewhere")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
