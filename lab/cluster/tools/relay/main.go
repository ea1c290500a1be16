// Command relay carries TCP from addresses outside a network namespace into
// it, without a route, bridge or link between the two.
//
//	relay 127.0.0.1:16443=10.250.0.10:6443 127.0.0.1:16444=socks -- nsenter --net=/run/netns/egret --
//
// It opens its listeners where it was started and then becomes itself again
// behind the command after "--", which is expected to enter the namespace: a
// socket stays in the namespace it was made in, and everything dialled from
// then on, names looked up included, is the namespace's. A target is an
// address, or "socks" for a SOCKS 5 proxy (RFC 1928) to any address.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.Ltime)
	enter := slices.Index(os.Args, "--")
	if enter > 0 {
		log.Fatal(reenter(os.Args[1:enter], os.Args[enter+1:]))
	}
	for _, arg := range os.Args[1:] {
		from, target, ok := strings.Cut(arg, "=")
		if !ok {
			log.Fatalf("%q is not LISTEN=TARGET", arg)
		}
		l, err := listener(from)
		if err != nil {
			log.Fatal(err)
		}
		log.Printf("relay %s -> %s", l.Addr(), target)
		go accept(l, target)
	}
	select {}
}

// reenter replaces the process by itself behind a command, with the listeners
// as open files.
func reenter(relays, command []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	args := append(slices.Clone(command), self)
	for _, r := range relays {
		from, target, _ := strings.Cut(r, "=")
		l, err := net.Listen("tcp", from)
		if err != nil {
			return err
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		fd, err := syscall.Dup(int(f.Fd())) // a duplicate outlives exec
		if err != nil {
			return err
		}
		args = append(args, fmt.Sprintf("fd:%d=%s", fd, target))
	}
	return syscall.Exec(path, args, os.Environ())
}

func listener(from string) (net.Listener, error) {
	n, inherited := strings.CutPrefix(from, "fd:")
	if !inherited {
		return net.Listen("tcp", from)
	}
	fd, err := strconv.Atoi(n)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), from)
	defer f.Close()
	return net.FileListener(f)
}

func accept(l net.Listener, target string) {
	for {
		in, err := l.Accept()
		if errors.Is(err, syscall.EMFILE) { // somebody else has to close some first
			log.Print(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer in.Close()
			if err := serve(in, target); err != nil {
				log.Printf("%s: %v", target, err)
			}
		}()
	}
}

const (
	dialTimeout = 5 * time.Second
	lingering   = time.Minute // for the rest of an answer whose request has ended, or whose client has gone
)

func serve(in net.Conn, target string) error {
	proxied := target == "socks"
	if proxied {
		var err error
		if target, err = request(in); err != nil {
			return err
		}
	}
	out, err := net.DialTimeout("tcp", target, dialTimeout)
	if proxied {
		if err := reply(in, err); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	defer out.Close()
	go func() {
		pipe(out, in)
		out.SetReadDeadline(time.Now().Add(lingering))
	}()
	pipe(in, out)
	return nil
}

// request reads a SOCKS 5 greeting and CONNECT request and returns the address
// that is wanted.
func request(in net.Conn) (string, error) {
	b := make([]byte, 256)
	read := func(n int) error { _, err := io.ReadFull(in, b[:n]); return err }
	if err := read(2); err != nil {
		return "", err
	}
	if b[0] != 5 {
		return "", fmt.Errorf("version %d of SOCKS", b[0])
	}
	if err := read(int(b[1])); err != nil { // methods: whatever they are, none is used
		return "", err
	}
	if _, err := in.Write([]byte{5, 0}); err != nil {
		return "", err
	}
	if err := read(4); err != nil {
		return "", err
	}
	if b[1] != 1 {
		return "", fmt.Errorf("SOCKS command %d; only CONNECT is served", b[1])
	}
	size := map[byte]int{1: net.IPv4len, 4: net.IPv6len}[b[3]]
	named := b[3] == 3
	if named {
		if err := read(1); err != nil {
			return "", err
		}
		size = int(b[0])
	}
	if err := read(size); err != nil {
		return "", err
	}
	host := string(b[:size])
	if !named {
		host = net.IP(b[:size]).String()
	}
	if err := read(2); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(b[0])<<8|int(b[1]))), nil
}

// reply tells a SOCKS client how dialling went.
func reply(in net.Conn, failure error) error {
	code := byte(0)
	var dns *net.DNSError
	switch {
	case errors.As(failure, &dns):
		code = 4 // host unreachable
	case errors.Is(failure, syscall.ECONNREFUSED):
		code = 5
	case failure != nil:
		code = 1
	}
	_, err := in.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	return err
}

func pipe(dst, src net.Conn) {
	io.Copy(dst, src)
	dst.(*net.TCPConn).CloseWrite()
}
