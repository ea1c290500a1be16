// Package serve runs the listeners of the simulators: HTTP/1.1 and HTTP/2, plain (with prior knowledge) or over TLS, drained
// at the end. It knows nothing of what they serve.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds that keep a forgotten client from holding a simulator up.
const (
	headerTimeout = 10 * time.Second
	drainTimeout  = 10 * time.Second
)

// Site is a handler behind a listener.
type Site struct {
	Listener net.Listener
	Handler  http.Handler
}

// Run serves all sites, over TLS unless config is nil, until ctx ends. Then it lets open requests finish for up to ten
// seconds and cuts the rest off. It returns nil after such an end, else what broke a listener, and closes all listeners.
func Run(ctx context.Context, config *tls.Config, sites ...Site) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	group, ctx := errgroup.WithContext(ctx)
	for _, site := range sites {
		server := &http.Server{Handler: site.Handler, ReadHeaderTimeout: headerTimeout, TLSConfig: config, Protocols: protocols}
		group.Go(func() error {
			err := listen(server, site.Listener)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serve %s: %w", site.Listener.Addr(), err)
		})
		group.Go(func() error {
			<-ctx.Done()
			return drain(context.WithoutCancel(ctx), server)
		})
	}
	return group.Wait()
}

func listen(server *http.Server, l net.Listener) error {
	if server.TLSConfig == nil {
		return server.Serve(l)
	}
	return server.ServeTLS(l, "", "")
}

func drain(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
