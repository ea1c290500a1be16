package proxy

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeRoom is how many bytes one direction of a connection in memory holds
// before its writer waits. Memory is only taken as it is needed.
const pipeRoom = 64 << 10

// pipe is a connection within the process. Unlike net.Pipe's it has room, as a
// socket has: a writer goes on while its reader wakes up (half the switches
// between goroutines per piece), and what was written before a Close is still
// read, as an early answer must be.
func pipe(name string) (client, server net.Conn) {
	up, down := newLane(), newLane()
	addr := memoryAddr(name)
	return &memoryConn{in: down, out: up, addr: addr}, &memoryConn{in: up, out: down, addr: addr}
}

// memoryConn is one end of a pipe.
type memoryConn struct {
	in, out *lane
	addr    memoryAddr
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close ends both directions: the peer reads what is on its way, then EOF.
func (c *memoryConn) Close() error {
	c.in.end(func(l *lane) { l.deaf = true })
	c.out.end(func(l *lane) { l.done = true })
	return nil
}

// CloseWrite says that no more will be written.
func (c *memoryConn) CloseWrite() error {
	c.out.end(func(l *lane) { l.done = true })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.addr }
func (c *memoryConn) RemoteAddr() net.Addr { return c.addr }

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.deadline(&c.in.reader, t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.out.deadline(&c.out.writer, t)
	return nil
}

// lane is one direction: one reader, one writer.
type lane struct {
	mu     sync.Mutex
	moved  sync.Cond // bytes, room, an end or a deadline
	buf    []byte    // what has been written and not read
	at     int       // the first such byte
	done   bool      // no more will be written
	deaf   bool      // nobody will read
	reader alarm
	writer alarm
}

// alarm is a deadline.
type alarm struct {
	at    time.Time
	timer *time.Timer
}

func (a *alarm) over() bool { return !a.at.IsZero() && !time.Now().Before(a.at) }

func newLane() *lane {
	l := &lane{}
	l.moved.L = &l.mu
	return l
}

func (l *lane) read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.deaf:
			return 0, net.ErrClosed
		case l.reader.over():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case l.at < len(l.buf):
			n := copy(b, l.buf[l.at:])
			if l.at += n; l.at == len(l.buf) {
				l.at, l.buf = 0, l.buf[:0]
			}
			l.moved.Broadcast()
			return n, nil
		case l.done:
			return 0, io.EOF
		}
		l.moved.Wait()
	}
}

func (l *lane) write(b []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.done:
			return n, net.ErrClosed
		case l.deaf:
			return n, io.ErrClosedPipe
		case l.writer.over():
			return n, os.ErrDeadlineExceeded
		}
		if room := pipeRoom - (len(l.buf) - l.at); room > 0 {
			some := b[:min(room, len(b))]
			if l.at > 0 && len(l.buf)+len(some) > cap(l.buf) {
				l.buf, l.at = l.buf[:copy(l.buf, l.buf[l.at:])], 0
			}
			l.buf = append(l.buf, some...)
			n, b = n+len(some), b[len(some):]
			l.moved.Broadcast()
		}
		if len(b) == 0 {
			return n, nil
		}
		l.moved.Wait()
	}
}

func (l *lane) end(how func(*lane)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how(l)
	if l.deaf {
		l.buf, l.at = nil, 0
	}
	for _, a := range []*alarm{&l.reader, &l.writer} {
		if l.deaf && a.timer != nil {
			a.timer.Stop()
		}
	}
	l.moved.Broadcast()
}

// deadline sets one. Setting it wakes who waits; so does its time, unless it
// was moved meanwhile.
func (l *lane) deadline(a *alarm, t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.at = t
	switch {
	case t.IsZero() || l.deaf:
		if a.timer != nil {
			a.timer.Stop()
		}
	case a.timer == nil:
		a.timer = time.AfterFunc(time.Until(t), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.moved.Broadcast()
		})
	default:
		a.timer.Reset(time.Until(t))
	}
	l.moved.Broadcast()
}
