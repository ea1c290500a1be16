package proxy

import (
	"context"
	"net"
	"sync"
)

// Memory is a listener that only this process can reach.
type Memory struct {
	name   string
	conns  chan net.Conn // unbuffered: who has dialled has been accepted
	closed chan struct{}
	once   sync.Once
}

// NewMemory returns a listener; name is its address for people.
func NewMemory(name string) *Memory {
	return &Memory{name: name, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener. It waits for an Accept until ctx ends;
// net.ErrClosed when the listener is closed.
func (m *Memory) Dial(ctx context.Context) (net.Conn, error) {
	client, server := pipe(m.name)
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial; connections stay.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr is the listener's name.
func (m *Memory) Addr() net.Addr { return memoryAddr(m.name) }

type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) }
