// Command cmd serves the fake vendors until it is interrupted, for clients
// that are not Go. It prints one JSON object: where the vendors are, the file
// with their CA, their keys, and the address of the control (World.Control).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/egret-gateway/egret/lab/fake"
)

func main() {
	dir := flag.String("dir", ".", "folder for the file of the CA")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, dir string) error {
	w, err := fake.Start()
	if err != nil {
		return err
	}
	defer w.Close()
	ca := filepath.Join(dir, "vendors-ca.pem")
	if err := os.WriteFile(ca, w.CA.PEM, 0o644); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control := &http.Server{Handler: w.Control(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = control.Serve(l) }()
	defer control.Close()
	type vendor struct {
		Hosts []string `json:"hosts"`
		Key   string   `json:"key,omitempty"`
	}
	vendors := map[string]vendor{}
	for _, v := range w.Vendors() {
		vendors[v.Name] = vendor{v.Hosts, v.Key}
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{"addr": w.Addr, "plain": w.Plain, "ca": ca, "control": "http://" + l.Addr().String(), "vendors": vendors})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
