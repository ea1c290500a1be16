package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/egret-gateway/egret/plan"
)

// Relay leads an Envoy of the same pod to backends that are behind a proxy: at
// a socket of each, it opens a tunnel per connection. What is spoken through it
// is Envoy's, TLS to the backend included.
type Relay struct {
	Dialer *Dialer
	Dir    string       // where the sockets are
	Log    *slog.Logger // nil = none

	once  sync.Once
	kick  chan struct{}
	mu    sync.Mutex
	doors map[string]*relayDoor // by socket
}

// relayDoor is one backend's socket.
type relayDoor struct {
	listener net.Listener
	served   bool
	address  string // for Dialer
	via      via
}

// Socket is where a backend is led to. It differs when what is behind it does.
func (r *Relay) Socket(b *plan.Backend) string {
	return filepath.Join(r.Dir, "to-"+plan.Digest([]any{b.Host, b.Port, b.Proxy})+".sock")
}

// Load opens the sockets of a plan's backends and closes those of others.
// Connections that are open stay so.
func (r *Relay) Load(p *plan.Plan) error {
	secrets := make(map[string]*plan.Secret, len(p.Secrets))
	for i := range p.Secrets {
		secrets[p.Secrets[i].Name] = &p.Secrets[i]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*relayDoor{}
	var errs []error
	for i := range p.Backends {
		b := &p.Backends[i]
		if b.Proxy == nil || b.Host == "" {
			continue
		}
		at := r.Socket(b)
		d, err := r.open(at, b, secrets)
		if err != nil {
			errs = append(errs, fmt.Errorf("relay to %s: %w", b.Name, err))
			continue
		}
		next[at] = d
	}
	for at, d := range r.doors {
		if next[at] == nil {
			d.listener.Close()
		}
	}
	r.doors = next
	select {
	case r.wake() <- struct{}{}:
	default:
	}
	return errors.Join(errs...)
}

// open returns the door at a socket, with what is in force behind it.
func (r *Relay) open(at string, b *plan.Backend, secrets map[string]*plan.Secret) (*relayDoor, error) {
	via, err := viaOf(b, secrets)
	if err != nil {
		return nil, err
	}
	d := &relayDoor{address: destination(b.Host, b.Port), via: via}
	if was := r.doors[at]; was != nil {
		was.address, was.via = d.address, d.via
		return was, nil
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	d.listener, err = net.Listen("unix", at)
	return d, err
}

func (r *Relay) wake() chan struct{} {
	r.once.Do(func() { r.kick = make(chan struct{}, 1) })
	return r.kick
}

// Run serves the sockets until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		r.mu.Lock()
		for _, d := range r.doors {
			if !d.served {
				d.served = true
				all.Go(func() { r.serve(ctx, &all, d) })
			}
		}
		r.mu.Unlock()
		select {
		case <-r.wake():
		case <-ctx.Done():
			r.mu.Lock()
			for _, d := range r.doors {
				d.listener.Close()
			}
			r.mu.Unlock()
			return nil
		}
	}
}

func (r *Relay) serve(ctx context.Context, all *sync.WaitGroup, d *relayDoor) {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		all.Go(func() { r.carry(ctx, c, d) })
	}
}

// carry connects c to the backend and copies both ways until one ends.
func (r *Relay) carry(ctx context.Context, c net.Conn, d *relayDoor) {
	defer c.Close()
	r.mu.Lock()
	address, via := d.address, d.via
	r.mu.Unlock()
	far, err := r.Dialer.dialVia(ctx, "tcp", address, via)
	if err != nil {
		if r.Log != nil && ctx.Err() == nil {
			r.Log.Warn("a backend cannot be reached by its proxy", "backend", address, "error", err)
		}
		return
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); far.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pour(far, c) })
	both.Go(func() { pour(c, far) })
	both.Wait()
}

// pour copies until from ends, and says so where that can be said.
func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
		from.Close()
	}
}
