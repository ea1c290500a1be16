package provider

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// maxLatency bounds what a header or flag can make a request wait.
const maxLatency = 10 * time.Minute

// Config says what a provider simulates.
type Config struct {
	Port   int    // for Run; 8000
	APIKey Key    // required
	Model  string // shown in the model list and for requests that name none; gpt-4-external

	Status       int           // answer every AI call with this error; 0 for none
	Latency      time.Duration // before the first byte of every answer
	ChunkLatency time.Duration // before each further piece of a streamed text
	Seed         int64         // makes texts and usage repeatable; 0 takes the clock

	CertFile, KeyFile string // serve TLS
	SelfSigned        bool   // serve TLS with a certificate made at start

	// Now is the clock, nil for time.Now. Wait passes simulated time and ends early with ctx's error; nil uses timers.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
	Log  *slog.Logger // nil for slog.Default
}

// Key is a provider key that does not show itself in logs.
type Key string

// String redacts the key.
func (k Key) String() string { return "[redacted]" }

// GoString redacts the key.
func (k Key) GoString() string { return k.String() }

// LogValue redacts the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText redacts the key.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// flags declares the flags of provider-sim, and ours beside them.
func flags(c *Config) *flag.FlagSet {
	f := flag.NewFlagSet("provider-sim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&c.Port, "port", 8000, "port to listen on")
	f.Func("api-key", "the `key` that callers must present, required", func(s string) error { c.APIKey = Key(s); return nil })
	f.StringVar(&c.Model, "model", "gpt-4-external", "name of the model")
	f.IntVar(&c.Status, "fail-status", 0, "answer every AI call with this error status")
	f.DurationVar(&c.Latency, "latency", 0, "wait before answering")
	f.DurationVar(&c.ChunkLatency, "chunk-latency", 0, "wait before each further piece of a stream")
	f.Int64Var(&c.Seed, "seed", 0, "make texts and usage repeatable")
	f.StringVar(&c.CertFile, "ssl-certfile", "", "TLS certificate")
	f.StringVar(&c.KeyFile, "ssl-keyfile", "", "TLS private key")
	f.BoolVar(&c.SelfSigned, "self-signed-certs", false, "serve TLS with a certificate made at start")
	return f
}

// Parse reads the flags of provider-sim. The error is flag.ErrHelp when help was asked for, which Help then gives.
func Parse(args []string) (Config, error) {
	var c Config
	f := flags(&c)
	if err := f.Parse(args); err != nil {
		return Config{}, err
	}
	if f.NArg() > 0 {
		return Config{}, fmt.Errorf("%q is not a flag; flags look like --port 8000", f.Arg(0))
	}
	return c, c.Check()
}

// Help is the text for --help.
func Help() string {
	var b strings.Builder
	b.WriteString("Simulates a model provider that asks for an API key.\n\nFlags:\n")
	f := flags(new(Config))
	f.SetOutput(&b)
	f.PrintDefaults()
	return b.String()
}

// Check reports everything that is wrong with a configuration at once.
func (c *Config) Check() error {
	var all []error
	unless := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	unless(c.APIKey != "", "the provider has no key: say --api-key KEY")
	unless(c.Port >= 0 && c.Port <= 65535, "--port %d is not a port", c.Port)
	unless(c.Status == 0 || 400 <= c.Status && c.Status <= 599, "--fail-status %d is not between 400 and 599", c.Status)
	unless(0 <= c.Latency && c.Latency <= maxLatency, "--latency %v is not between 0 and %v", c.Latency, maxLatency)
	unless(0 <= c.ChunkLatency && c.ChunkLatency <= maxLatency, "--chunk-latency %v is not between 0 and %v", c.ChunkLatency, maxLatency)
	unless((c.CertFile == "") == (c.KeyFile == ""), "--ssl-certfile and --ssl-keyfile go together: give both or neither")
	unless(!c.SelfSigned || c.CertFile == "", "--self-signed-certs and --ssl-certfile exclude each other: give one way to TLS")
	return errors.Join(all...)
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
