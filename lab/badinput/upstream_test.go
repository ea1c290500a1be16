package badinput

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// upstreams are backends by what is wrong with them. Each talks to one
// connection at a time, after it has read a request.
var upstreams = map[string]func(net.Conn, *http.Request){
	"echo":    echo,
	"closing": func(net.Conn, *http.Request) {},
	"garbage": func(c net.Conn, _ *http.Request) { io.WriteString(c, "\x15\x03\x01 this is not HTTP\r\n\r\n") },
	"short": func(c net.Conn, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"id\":")
	},
	"silent": func(c net.Conn, _ *http.Request) { io.Copy(io.Discard, c) },
	"breaking": func(c net.Conn, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		event := "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Once upon\"}}]}\n\n"
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(event), event)
		io.WriteString(c, "20\r\ndata: {\"mod")
	},
}

// echo answers with what the gateway said about the caller.
func echo(c net.Conn, r *http.Request) {
	said := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Maas-") || name == "X-User" {
			said[name] = r.Header.Get(name)
		}
	}
	body, err := json.Marshal(said)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// startUpstream serves one of upstreams until the test ends.
func startUpstream(t *testing.T, speak func(net.Conn, *http.Request)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				speak(c, r)
			}()
		}
	}()
	return l.Addr().String()
}

// backends are manifests: for each upstream a destination and a route under
// its name.
func backends() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		timeouts := ""
		if name == "silent" {
			timeouts = "timeouts: {request: 1s}"
		}
		fmt.Fprintf(&b, `---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: %[1]s, namespace: lab}
spec:
  destination: {type: Fqdn, fqdn: {hostname: %[1]s.upstream.example}, ports: [{number: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: lab}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
    backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: %[1]s, port: 80}]
    %[2]s
`, name, timeouts)
	}
	return b.String()
}
