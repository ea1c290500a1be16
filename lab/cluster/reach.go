package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Reach returns the URL of a Service's port for HTTP and for Get and Post. In
// the test cluster it is the Service's name; in another it leads, until the
// test ends, through one port-forward to one of the Service's pods.
func (c *Cluster) Reach(t testing.TB, namespace, service string, port int) string {
	t.Helper()
	if c.own {
		return "http://" + net.JoinHostPort(service+"."+namespace+".svc.cluster.local", strconv.Itoa(port))
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := c.command(ctx, "port-forward", "-n", namespace, "service/"+service, ":"+strconv.Itoa(port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); cmd.Wait() })
	deadline := time.AfterFunc(patience, stop)
	line, _ := bufio.NewReader(out).ReadString('\n')
	deadline.Stop()
	m := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if m == "" {
		stop()
		cmd.Wait()
		t.Fatalf("port-forward to %s/%s:%d: %s%s", namespace, service, port, line, &stderr)
	}
	go io.Copy(io.Discard, out)
	return "http://" + m
}

// HTTP returns a client whose requests start in the cluster's network. Every
// request makes a connection of its own, so that Services choose a pod anew.
func (c *Cluster) HTTP() *http.Client {
	return &http.Client{Transport: c.Transport(), Timeout: 30 * time.Second}
}

// Transport is HTTP's, to be changed: for TLS, or connections that are kept.
func (c *Cluster) Transport() *http.Transport {
	tr := &http.Transport{DisableKeepAlives: true}
	if c.own {
		tr.Proxy = http.ProxyURL(c.proxy())
	}
	return tr
}

// proxy is the test cluster's SOCKS proxy, at the port after the API server's.
func (c *Cluster) proxy() *url.URL {
	u, err := url.Parse(c.config.Host)
	if err != nil {
		panic("BUG: a kubeconfig that was used: " + err.Error())
	}
	port, _ := strconv.Atoi(u.Port())
	return &url.URL{Scheme: "socks5", Host: net.JoinHostPort(u.Hostname(), strconv.Itoa(port+1))}
}

// Answer is an HTTP response, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Want returns nil if err is nil and the status is the one given, else an
// error for Eventually.
func (a Answer) Want(status int, err error) error {
	if err == nil && a.Status != status {
		err = fmt.Errorf("status %d, not %d: %.1000s", a.Status, status, a.Body)
	}
	return err
}

// Get sends a GET request with headers "Name: value".
func (c *Cluster) Get(url string, headers ...string) (Answer, error) {
	return c.call(http.MethodGet, url, "", headers)
}

// Post sends a POST request; the body is JSON unless a header says otherwise.
func (c *Cluster) Post(url, body string, headers ...string) (Answer, error) {
	return c.call(http.MethodPost, url, body, headers)
}

// Do sends a request of any method; see Post.
func (c *Cluster) Do(method, url, body string, headers ...string) (Answer, error) {
	return c.call(method, url, body, headers)
}

// maxAnswer bounds the body of an Answer, in bytes.
const maxAnswer = 16 << 20

func (c *Cluster) call(method, url, body string, headers []string) (Answer, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if strings.EqualFold(name, "Host") {
			r.Host = strings.TrimSpace(value)
			continue
		}
		r.Header.Set(name, strings.TrimSpace(value))
	}
	resp, err := c.HTTP().Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}
