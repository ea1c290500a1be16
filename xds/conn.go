package xds

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// Behind the controller's one address there may be replicas that follow, which
// refuse connections, and chance decides who is reached: a refusal is tried
// again a few times at once, lest a pod that has bad luck waits for longer each
// time.
const (
	redials     = 4
	redialPause = 20 * time.Millisecond
)

// dial makes the connection and listens to whether anything comes over it:
// gRPC itself does not tell of the pings by which an idle peer shows that it
// lives.
func (c *Client) dial(ctx context.Context, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", address)
		}
	}
	conn, err := dial(ctx, address)
	for again := redials; again > 0 && errors.Is(err, syscall.ECONNREFUSED); again-- {
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(redialPause):
		}
		conn, err = dial(ctx, address)
	}
	if err != nil {
		return nil, err
	}
	return &hearing{Conn: conn, client: c}, nil
}

type hearing struct {
	net.Conn
	client *Client
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 && h.client.accepted.Load() { // a refusal is no news of what is served
		h.client.heard.Store(h.client.Now().UnixNano())
	}
	return n, err
}
