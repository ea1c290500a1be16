package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// shown is the certificate's first name that a server shows for a server name.
func shown(t *testing.T, r *rig, name string) (string, error) {
	t.Helper()
	raw := r.dial()
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err := c.Handshake(); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].DNSNames[0], nil
}

func TestCertificates(t *testing.T) {
	r := newRig(t, false)
	pair := func(name, host string) func(*draft) {
		crt, key := newCertificate(t, host)
		return func(d *draft) { d.secret("secret/ns/"+name, "tls", "tls.crt", crt, "tls.key", key) }
	}
	a, wild, b := pair("a", "a.example.com"), pair("wild", "*.example.com"), pair("b", "b.example.net")
	build := func(secrets ...func(*draft)) *draft {
		d := newDraft().listener(80, "a", "a.example.com", "secret/ns/a").listener(80, "b", "b.example.net", "secret/ns/b").
			listener(80, "wild", "*.example.com", "secret/ns/wild")
		for _, s := range secrets {
			s(d)
		}
		return d
	}
	f := func(name, server, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			got, err := shown(t, r, server)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("SNI %q: %q, %v; want %q", server, got, err, want)
			}
		})
	}
	r.apply(build(a, wild, b))
	f("gateway-97 the certificate of the host", "a.example.com", "a.example.com")
	f("gateway-97 another host, another certificate", "b.example.net", "b.example.net")
	f("gateway-97 a wildcard", "x.y.example.com", "*.example.com")
	f("case does not count", "A.Example.Com", "a.example.com")
	f("a host that nobody serves", "c.example.net", "")
	f("no name", "", "")

	broken := func(d *draft) { d.secret("secret/ns/a", "tls", "tls.crt", "nonsense", "tls.key", "nonsense") }
	r.apply(build(broken, wild, b))
	f("an unreadable certificate leaves the one before in use", "a.example.com", "a.example.com")
	if !strings.Contains(r.log.String(), "a certificate cannot be used") {
		t.Errorf("log: %s", r.log)
	}
	renewed := pair("a", "a2.example.com")
	r.apply(build(renewed, wild, b))
	f("gateway-97 a renewed certificate is shown from the next handshake on", "a.example.com", "a2.example.com")

	t.Run("without a version before, its listener alone fails", func(t *testing.T) {
		r = newRig(t, false)
		r.apply(build(broken, wild, b))
		f("the listener", "a.example.com", "")
		f("another", "b.example.net", "b.example.net")
	})
}

func TestFromHTTPToHTTPS(t *testing.T) {
	r := newRig(t, false)
	b := r.backend("b", echo("b"))
	crt, key := newCertificate(t, "a.example.com")
	clear := simple(b)
	secure := newDraft().listener(80, "http", "", "secret/ns/a").route("http", prefix("/"), b).secret("secret/ns/a", "tls", "tls.crt", crt, "tls.key", key)
	r.apply(clear)
	if res, _ := r.send("GET", "http://a.example.com/", ""); res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	address := r.server.Bound()[0].Address.String()
	r.apply(secure)
	if got := r.server.Bound()[0]; got.Address.String() != address || !got.TLS {
		t.Errorf("bound %+v, want %s with TLS", got, address)
	}
	res, _ := r.send("GET", "http://a.example.com/", "") // over the kept connection
	if res.StatusCode != 200 || !res.Close {
		t.Errorf("the old connection: %d, close %v; want its last answer", res.StatusCode, res.Close)
	}
	for _, h2 := range []bool{false, true} {
		client := &http.Client{Transport: r.transport(func(tr *http.Transport) {
			tr.TLSClientConfig, tr.ForceAttemptHTTP2 = trusting(crt, "a.example.com"), h2
		})}
		res, err := client.Get("https://a.example.com/x")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "b GET a.example.com/x" || (res.ProtoMajor == 2) != h2 {
			t.Errorf("%s %q", res.Proto, body)
		}
	}
	c := r.dial()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.0 400") {
		t.Errorf("cleartext to HTTPS: %q", got)
	}
	r.apply(clear)
	if res, _ := r.send("GET", "http://a.example.com/", ""); res.StatusCode != 200 {
		t.Errorf("and back: %d", res.StatusCode)
	}
}

func TestApply(t *testing.T) {
	t.Run("a port in use: the old plan serves on and the error says so", func(t *testing.T) {
		r := newRig(t, false)
		b := r.backend("b", echo("b"))
		r.apply(simple(b))
		taken := r.server.Bound()[0].Address.String()
		r.server.o.Listen = func(string, *plan.Port) (net.Listener, error) { return net.Listen("tcp", taken) }
		next := newDraft().listener(80, "http", "").listener(81, "more", "")
		err := r.server.Apply(context.Background(), &next.Plan)
		if err == nil || !strings.Contains(err.Error(), "gateway ns/gw port 81") || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("error %v", err)
		}
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 200 || len(r.server.Bound()) != 1 {
			t.Errorf("status %d, bound %v", res.StatusCode, r.server.Bound())
		}
	})
	t.Run("a backend without its CA fails alone", func(t *testing.T) {
		r := newRig(t, false)
		good, bad := r.backend("good", echo("good")), r.backend("bad", echo("bad"))
		bad.TLS = &plan.ClientTLS{CAs: []string{"secret/ns/none"}}
		r.apply(newDraft().listener(80, "http", "").route("http", prefix("/good"), good).route("http", prefix("/bad"), bad))
		if res, _ := r.send("GET", "http://x/good", ""); res.StatusCode != 200 {
			t.Errorf("good: %d", res.StatusCode)
		}
		r.record()
		if res, _ := r.send("GET", "http://x/bad", ""); res.StatusCode != 502 {
			t.Errorf("bad: %d", res.StatusCode)
		}
		if got := r.record(); got.Code != "no_connection" || !strings.Contains(got.Reason, "secret/ns/none") {
			t.Errorf("record %s %s", got.Code, got.Reason)
		}
	})
	t.Run("no endpoint is 503", func(t *testing.T) {
		r := newRig(t, false)
		b := r.backend("b", echo("b"))
		b.Host = ""
		r.apply(simple(b))
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 503 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("an exchange goes where its own plan says, and a released port lets it end", func(t *testing.T) {
		r := newRig(t, false)
		arrived, goOn := make(chan bool), make(chan bool)
		old := r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			arrived <- true
			<-goOn
			w.Write(body)
		})
		r.apply(simple(old))
		c := r.dial()
		// The plan changes while the body of an AI call is on its way.
		const body = `{"model":"m"}`
		io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n")
		head := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			fresh := r.backend("b", echo("new"))
			r.apply(simple(fresh))
		}
		io.WriteString(c, body)
		<-arrived
		r.apply(newDraft())
		if len(r.server.Bound()) != 0 {
			t.Error("the port is still bound")
		}
		close(goOn)
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(got), body) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a bug costs one request", func(t *testing.T) {
		r := newRig(t, false)
		r.apply(simple(r.backend("b", echo("b"))))
		r.buggy.Store(true)
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 500 || !strings.Contains(r.log.String(), "BUG: found by a test") {
			t.Errorf("status %d, log %s", res.StatusCode, r.log)
		}
		r.buggy.Store(false)
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 200 {
			t.Errorf("the next: %d", res.StatusCode)
		}
	})
	t.Run("gateway-50 a server that is to stop has clients close their connections, and takes new ones", func(t *testing.T) {
		r := newRig(t, false)
		r.apply(simple(r.backend("b", echo("b"))))
		if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 200 || res.Close {
			t.Errorf("before: %d, close %v", res.StatusCode, res.Close)
		}
		r.server.Leave()
		for range 2 {
			if res, _ := r.send("GET", "http://x/", ""); res.StatusCode != 200 || !res.Close {
				t.Errorf("after: %d, close %v", res.StatusCode, res.Close)
			}
		}
	})
	inBubble(t, "gateway-50 one that was not told to, because its answer had begun before, has its next request answered", func(t *testing.T, r *rig) {
		end := make(chan struct{})
		r.apply(simple(r.backend("b", func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/stream" {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "begun, ")
				w.(http.Flusher).Flush()
				<-end
			}
			io.WriteString(w, "done")
		})))
		c := r.dial()
		answers := bufio.NewReader(c)
		call := func(path string) *http.Response {
			io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			return res
		}
		stream := call("/stream")
		r.server.Leave()
		stopped := make(chan time.Time, 1)
		go func() { r.server.Shutdown(); stopped <- time.Now() }()
		time.Sleep(3 * time.Second)
		close(end)
		if body, err := io.ReadAll(stream.Body); err != nil || string(body) != "begun, done" || stream.Close {
			t.Errorf("%q, %v, close %v", body, err, stream.Close)
		}
		time.Sleep(fading / 2)
		ended := time.Now()
		if res := call("/next"); res.StatusCode != 200 || !res.Close {
			t.Errorf("status %d, close %v", res.StatusCode, res.Close)
		}
		if after := (<-stopped).Sub(ended); after > 2*fading {
			t.Errorf("it stopped %v after its last answer", after)
		}
	})
	t.Run("a stopped server takes no plan", func(t *testing.T) {
		r := newRig(t, false)
		r.server.Shutdown()
		if err := r.server.Apply(context.Background(), &newDraft().Plan); err == nil {
			t.Error("no error")
		}
	})
}
