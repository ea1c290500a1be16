package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestSOCKS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "reached "+r.URL.Path) }))
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer in.Close(); serve(in, "socks") }()
		}
	}()
	defer l.Close()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: l.Addr().String()}),
	}}
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

	for _, host := range []string{"127.0.0.1", "localhost"} {
		resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/x")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "reached /x" {
			t.Errorf("%s: %s", host, b)
		}
	}
	server.Close()
	if _, err := client.Get("http://127.0.0.1:" + port); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a closed port: %v", err)
	}
}
