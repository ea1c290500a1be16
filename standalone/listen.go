package standalone

import (
	"errors"
	"fmt"
	"net"
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

// listen opens the socket of a port: at the address that was given for one of
// its listeners, in memory, or on loopback at its own number, moved up when it
// is privileged and on to the next free one when it is taken.
func (s *System) listen(gateway string, p *plan.Port) (net.Listener, error) {
	for i := range p.Listeners {
		name := gateway + "/" + p.Listeners[i].Name
		if address, ok := s.o.Listen[name]; ok {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return nil, fmt.Errorf("listener %s at %s: %w; choose another address with --listen %s=ADDRESS", name, address, err, name)
			}
			return l, nil
		}
	}
	if s.o.Inner {
		return proxy.NewMemory(gateway + ":" + strconv.Itoa(int(p.Number))), nil
	}
	return nearest(int(p.Number))
}

func nearest(number int) (net.Listener, error) {
	if number < unprivileged {
		number += shift
	}
	var last error
	for n := number; n < number+tries && n <= 65535; n++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		if err == nil {
			return l, nil
		}
		last = err
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("no free port from %d on: %w", number, last)
}
