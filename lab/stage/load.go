//go:build cluster

package stage

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"
)

// ChatPath leads through the bridge to the external model, and Chat is a small
// call of it.
const (
	ChatPath = "/external/v1/chat/completions"
	Chat     = `{"model": "gpt-4-external", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}`
	stream   = `{"model": "gpt-4-external", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 200, "stream": true, "stream_options": {"include_usage": true}}`
)

// Steady is a load that does not wait for answers: Rate calls begin in every
// second, and beside them Streams are kept open, one after the other ends.
type Steady struct {
	Token   string
	Rate    int // calls per second
	Streams int
	// URL is where calls go, by default the MaaS gateway's ChatPath.
	URL string
	// Body and Stream are the JSON of a call and of a stream, by default of
	// ChatPath. Method is by default POST; a GET has no body.
	Method, Body, Stream string
}

// Call is one answer, or what came instead.
type Call struct {
	Stream bool
	Begun  time.Time
	First  time.Duration // until the header of the answer; 0 = none came
	Took   time.Duration // until its end
	Status int           // 0 = none came
	Tokens int           // usage.total_tokens of a complete answer
	Err    error         // no answer, or one that was cut off
	Body   string        // of an answer other than 200, its first 500 bytes
	Idle   time.Duration // for how long its connection had been idle; 0 = it was new
}

func (c Call) String() string {
	kind := "call"
	if c.Stream {
		kind = "stream"
	}
	return fmt.Sprintf("%s at %s: %d after %s (header %s, connection idle for %s), error %v %s", kind, c.Begun.Format("15:04:05.000"), c.Status,
		c.Took.Round(time.Millisecond), c.First.Round(time.Millisecond), c.Idle.Round(time.Microsecond), c.Err, c.Body)
}

// Load is a Steady load that runs.
type Load struct {
	steady Steady
	client *http.Client
	stop   context.CancelFunc // no new calls
	group  sync.WaitGroup
	mu     sync.Mutex
	calls  []Call
}

const (
	// patience bounds a call: longer than any test allows it to be.
	patience = 30 * time.Second
	// mostOpen bounds the calls in flight.
	mostOpen = 2000
)

// Load begins a load. It ends with Stop, at the latest with the test.
func (s *Stage) Load(t testing.TB, steady Steady) *Load {
	t.Helper()
	if steady.URL == "" {
		steady.URL = s.URL(ChatPath)
	}
	steady.Method = cmp.Or(steady.Method, http.MethodPost)
	if steady.Body == "" && steady.Method == http.MethodPost {
		steady.Body = Chat
	}
	if steady.Stream == "" {
		steady.Stream = stream
	}
	tr := s.Transport()
	tr.DisableKeepAlives, tr.MaxIdleConnsPerHost = false, 200
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{steady: steady, client: &http.Client{Transport: tr}, stop: stop}
	t.Cleanup(func() { l.Stop(); tr.CloseIdleConnections() })
	l.group.Go(func() { l.pace(ctx) })
	for range steady.Streams {
		l.group.Go(func() {
			for ctx.Err() == nil {
				if c := l.call(true); c.Status != http.StatusOK {
					pause(ctx, time.Second/4)
				}
			}
		})
	}
	return l
}

// pace begins the calls.
func (l *Load) pace(ctx context.Context) {
	if l.steady.Rate == 0 {
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(l.steady.Rate))
	defer tick.Stop()
	open := make(chan struct{}, mostOpen)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open <- struct{}{}
		l.group.Go(func() { l.call(false); <-open })
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// call makes one call and keeps what came of it.
func (l *Load) call(stream bool) Call {
	c := Call{Stream: stream, Begun: time.Now()}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	c.Err = l.do(ctx, &c)
	c.Took = time.Since(c.Begun)
	l.mu.Lock()
	l.calls = append(l.calls, c)
	l.mu.Unlock()
	return c
}

func (l *Load) do(ctx context.Context, c *Call) error {
	body := l.steady.Body
	if c.Stream {
		body = l.steady.Stream
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { c.Idle = i.IdleTime }})
	r, err := http.NewRequestWithContext(ctx, l.steady.Method, l.steady.URL, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+l.steady.Token)
	resp, err := l.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	c.First, c.Status = time.Since(c.Begun), resp.StatusCode
	if c.Stream && resp.StatusCode == http.StatusOK {
		return events(resp.Body, c)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		c.Body = string(b[:min(len(b), 500)])
		return nil
	}
	if l.steady.Method != http.MethodPost {
		return nil
	}
	return usage(b, c)
}

// events reads a stream to its end; one that ends without saying so was cut.
func events(r io.Reader, c *Call) error {
	lines := bufio.NewScanner(r)
	done := false
	for lines.Scan() {
		data, is := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		switch {
		case !is:
		case string(data) == "[DONE]":
			done = true
		default:
			if err := usage(data, c); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !done {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func usage(b []byte, c *Call) error {
	var answer struct {
		Usage *struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("%w in %.200s", err, b)
	}
	if answer.Usage != nil {
		c.Tokens = answer.Usage.Total
	}
	return nil
}

// SoFar returns the calls that have ended.
func (l *Load) SoFar() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Call(nil), l.calls...)
}

// Stop begins no more calls, waits until those in flight have ended, and
// returns all.
func (l *Load) Stop() []Call {
	l.stop()
	l.group.Wait()
	return l.SoFar()
}
