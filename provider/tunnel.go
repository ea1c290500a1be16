package provider

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// maxTunnelHead bounds what a proxy answers to CONNECT.
const maxTunnelHead = 16 << 10

// proxy is the operator's, by which a backend is reached.
type proxy struct {
	host          string
	port          int32
	authorization string // "" = none
}

// newProxy reads what the plan says of a backend's proxy; nil for none.
func newProxy(p *plan.Proxy, secrets map[string]*plan.Secret) (*proxy, error) {
	if p == nil {
		return nil, nil
	}
	out := &proxy{host: p.Host, port: p.Port}
	if p.Secret != "" {
		s := secrets[p.Secret]
		if s == nil {
			return nil, fmt.Errorf("the credentials for proxy %s, %s, are not there", p.Host, p.Secret)
		}
		pair := string(s.Item("username")) + ":" + string(s.Item("password"))
		out.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	return out, nil
}

// tunnel asks a proxy on c to connect to a target. The connection is the
// tunnel from then on, and nothing of what is sent through it has left before.
func (p *proxy) tunnel(ctx context.Context, c net.Conn, target string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{"User-Agent": {""}}}
	if p.authorization != "" {
		req.Header.Set("Proxy-Authorization", p.authorization)
	}
	said := &io.LimitedReader{R: c, N: maxTunnelHead}
	r := bufio.NewReaderSize(said, 4<<10)
	err := req.Write(c)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(r, req)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("proxy %s: %w", p.address(), err)
	}
	if res.StatusCode != http.StatusOK {
		c.Close()
		why := ""
		if res.StatusCode == http.StatusProxyAuthRequired {
			why = ": it does not take the operator's credentials"
		}
		return nil, fmt.Errorf("proxy %s answers %d to CONNECT %s%s", p.address(), res.StatusCode, target, why)
	}
	if !stop() { // too late: ctx ended just now
		c.Close()
		return nil, ctx.Err()
	}
	c.SetDeadline(time.Time{})
	if r.Buffered() == 0 {
		return c, nil
	}
	return &ahead{c, io.MultiReader(io.LimitReader(r, int64(r.Buffered())), c)}, nil
}

// ahead is a connection of which a beginning has been read already.
type ahead struct {
	net.Conn
	r io.Reader
}

func (a *ahead) Read(b []byte) (int, error) { return a.r.Read(b) }

func (p *proxy) address() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }
