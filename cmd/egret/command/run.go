package command

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/egret-gateway/egret/provider"
	"github.com/egret-gateway/egret/proxy"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// manifestFlags say which manifests a command reads.
type manifestFlags struct {
	Files     []string `short:"f" name:"file" placeholder:"PATH" sep:"none" help:"File or directory of manifests, or - for standard input. May be repeated."`
	Kustomize []string `short:"k" placeholder:"DIR" sep:"none" help:"Directory with a kustomization. May be repeated."`
}

func (m *manifestFlags) options(w *world) (file.Options, error) {
	if len(m.Files)+len(m.Kustomize) == 0 {
		return file.Options{}, fmt.Errorf("nothing to read; name manifests with -f PATH or -k DIR")
	}
	return file.Options{Paths: m.Files, Kustomize: m.Kustomize, Stdin: w.stdin}, nil
}

// serveFlags are shared by what serves.
type serveFlags struct {
	Listen    map[string]string `placeholder:"NS/GATEWAY/LISTENER=ADDR" help:"Bind a listener, for example default/poc-gateway/http=127.0.0.1:8080. Others get a free loopback port: their own, plus 8000 when below 1024." mapsep:"none"`
	Resolve   []string          `placeholder:"NAME:PORT:IP[:PORT]" help:"Map a host or Service name to an address. May be repeated." sep:"none"`
	Data      string            `type:"path" placeholder:"DIR" help:"Keep keys, usage ledger and counters here. Without it they end with the process."`
	Keep      time.Duration     `default:"2160h" help:"How long the usage ledger keeps its entries; 0 is for ever."`
	Users     string            `type:"path" placeholder:"FILE" help:"Users file (see egret users). Default: users.yaml in the data directory."`
	Admin     string            `placeholder:"ADDR" help:"Address of the admin page. Default: a free loopback port; quickstart: 127.0.0.1:9901 or the next free port."`
	AccessLog string            `placeholder:"FILE" help:"JSON access log; - is standard output."`
	Drain     time.Duration     `default:"30s" help:"How long requests under way may take after SIGTERM."`
	BodyLimit int64             `default:"16777216" placeholder:"BYTES" help:"Largest request body that is read whole."`
	Verbose   bool              `short:"v" help:"Log details."`
}

// options turns the flags into those of a System. done closes what was opened.
func (f *serveFlags) options(w *world) (o standalone.Options, done func(), err error) {
	o = standalone.Options{
		Data: f.Data, Keep: f.Keep, Users: f.Users, Listen: map[string]standalone.Address{}, Admin: either(f.Admin, "127.0.0.1:0"), AdminToken: randomToken("egret_admin_"),
		Drain: f.Drain, BodyLimit: f.BodyLimit, Version: version, Log: logger(w.stderr, f.Verbose), Resolve: &provider.Mapping{},
	}
	done = func() {}
	for name, addr := range f.Listen {
		if strings.Count(name, "/") != 2 {
			return o, done, fmt.Errorf("--listen %s=%s: write NAMESPACE/GATEWAY/LISTENER=ADDRESS, for example default/poc-gateway/http=127.0.0.1:8080", name, addr)
		}
		o.Listen[name] = standalone.Address{At: addr}
	}
	for _, r := range f.Resolve {
		name, port, address, err := provider.ParseResolve(r)
		if err != nil {
			return o, done, err
		}
		o.Resolve.Set(name, port, address)
	}
	switch f.AccessLog {
	case "":
	case "-":
		o.AccessLog = w.stdout
	default:
		l, err := os.OpenFile(f.AccessLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return o, done, fmt.Errorf("access log: %w", err)
		}
		o.AccessLog, done = l, func() { l.Close() }
	}
	return o, done, nil
}

// either is the address that was given, or else the usual one or a port after it.
func either(given, usual string) standalone.Address {
	if given != "" {
		return standalone.Address{At: given}
	}
	return standalone.Address{At: usual, Next: true}
}

// runCmd serves manifests.
type runCmd struct {
	manifestFlags
	serveFlags
	Simulate bool `help:"Run Deployments of the simulator's image in this process."`
}

// Help is the long help of the command.
func (*runCmd) Help() string {
	return `Files are watched: an edit that compiles is served within a second without dropping a request; one that does not is reported (log, metric, /status) while the last good configuration serves on.

Example:
  egret run -f manifests/ --resolve api.example.com:443:127.0.0.1:8443 --data ./data`
}

// Run serves until a signal.
func (c *runCmd) Run(w *world) error {
	o, done, err := c.serveFlags.options(w)
	if err != nil {
		return err
	}
	defer done()
	if o.Files, err = c.manifestFlags.options(w); err != nil {
		return err
	}
	o.Files.Log, o.Simulate = o.Log, c.Simulate
	s, err := standalone.New(w.ctx, o)
	if err != nil {
		return err
	}
	return s.Run(w.ctx, func(s *standalone.System) { announce(w.stdout, s, o.AdminToken) })
}

// announce prints where the gateways listen.
func announce(out io.Writer, s *standalone.System, token string) {
	bound := s.Bound()
	slices.SortFunc(bound, func(a, b proxy.Bound) int {
		return strings.Compare(fmt.Sprintf("%s:%05d", a.Gateway, a.Port), fmt.Sprintf("%s:%05d", b.Gateway, b.Port))
	})
	for _, b := range bound {
		scheme := "http"
		if b.TLS {
			scheme = "https"
		}
		fmt.Fprintf(out, "gateway %s port %d: %s://%s\n", b.Gateway, b.Port, scheme, b.Address)
	}
	if a := s.AdminAddress(); a != "" {
		fmt.Fprintf(out, "admin: http://egret:%s@%s/status\n", token, a)
	}
}
