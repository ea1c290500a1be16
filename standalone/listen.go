package standalone

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/proxy"
)

// Rules for ports that nobody gave an address.
const (
	unprivileged = 1024 // ports below it are moved up
	shift        = 8000 // by this much: 80 becomes 8080, 443 becomes 8443
	tries        = 100  // next ports tried when one is taken
)

// Address is where to listen.
type Address struct {
	At   string // host:port; port 0 is any free one, "" is nowhere
	Next bool   // when the port is taken, one of those after it will do
}

// bind opens the socket.
func (a Address) bind() (net.Listener, error) {
	host, port, err := net.SplitHostPort(a.At)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n == 0 || !a.Next {
		return net.Listen("tcp", a.At)
	}
	return nearest(host, n)
}

// listen opens the socket of a port: at the address that was given for one of
// its listeners, in memory, or on loopback at its own number, moved up when it
// is privileged and on to the next free one when it is taken.
func (s *System) listen(gateway string, p *plan.Port) (net.Listener, error) {
	for i := range p.Listeners {
		name := gateway + "/" + p.Listeners[i].Name
		if address, ok := s.o.Listen[name]; ok {
			l, err := address.bind()
			if err != nil {
				return nil, fmt.Errorf("listener %s: %w; choose another address for it", name, err)
			}
			return l, nil
		}
	}
	if s.o.Inner {
		return proxy.NewMemory(gateway + ":" + strconv.Itoa(int(p.Number))), nil
	}
	number := int(p.Number)
	if number < unprivileged {
		number += shift
	}
	return nearest("127.0.0.1", number)
}

// unknownListeners are the names given in Listen that no port of the plan has,
// and the names there are. One may come with a later edit.
func (s *System) unknownListeners(p *plan.Plan) (unknown, known []string) {
	for i := range p.Ports {
		for j := range p.Ports[i].Listeners {
			known = append(known, p.Ports[i].Gateway+"/"+p.Ports[i].Listeners[j].Name)
		}
	}
	for name := range s.o.Listen {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown, known
}

// nearest binds the first free port from number on.
func nearest(host string, number int) (net.Listener, error) {
	var last error
	for n := number; n < number+tries && n <= 65535; n++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n)))
		if err == nil {
			return l, nil
		}
		last = err
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, last
}
