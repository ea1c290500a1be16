package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// endpoint is a token endpoint in memory.
type endpoint struct {
	mu     sync.Mutex
	asked  []*http.Request
	forms  []string
	answer func(n int, r *http.Request) (status int, body string)
	slow   time.Duration
}

// RoundTrip implements http.RoundTripper.
func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	form := readAll(r.Body)
	e.mu.Lock()
	e.asked, e.forms = append(e.asked, r), append(e.forms, form)
	n, slow := len(e.asked), e.slow
	e.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status, body := e.answer(n, r)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: newBody(body)}, nil
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

func numbered(life int) func(int, *http.Request) (int, string) {
	return func(n int, _ *http.Request) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":"t%d","token_type":"bearer","expires_in":%d}`, n, life)
	}
}

func oauth() *plan.Account {
	return &plan.Account{
		Name: "a", Namespace: "n", Scheme: plan.SchemeOAuth2, Secret: "secret/n/s/opaque", Key: "key", Field: "Authorization", Prefix: "Bearer ",
		Token: &plan.Token{URL: "https://login.example.com/token", Client: "me&co", Scopes: []string{"a", "b"}, Audience: "aud"},
	}
}

func hush(value string) *plan.Secret {
	return &plan.Secret{Name: "secret/n/s/opaque", Kind: plan.SecretOpaque, Digest: value, Data: []plan.Item{{Key: "key", Value: []byte(value)}}}
}

// office runs for as long as the test.
func office(t *testing.T, e *endpoint) *Office {
	o := New(Options{HTTP: e})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return o
}

// shown is what the account makes of a bare request.
func shown(o *Office, a *plan.Account, s *plan.Secret) (string, error) {
	r := &Request{Method: "GET", Host: "b.example.com", Path: "/", Header: http.Header{}}
	err := o.Apply(NewUse(a, s), r)
	return r.Header.Get("Authorization"), err
}

func TestTokens(t *testing.T) {
	must := func(t *testing.T, o *Office, a *plan.Account, s *plan.Secret, want string) {
		t.Helper()
		if got, err := shown(o, a, s); got != "Bearer "+want || err != nil {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
	}
	run := func(name string, f func(t *testing.T)) { t.Run(name, func(t *testing.T) { synctest.Test(t, f) }) }
	run("gateway-119 all that wait get the one token that is fetched", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600), slow: time.Second}
		o := office(t, e)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { must(t, o, oauth(), hush("x"), "t1") })
		}
		all.Wait()
		if e.count() != 1 {
			t.Errorf("asked %d times", e.count())
		}
	})
	run("gateway-119 a token is renewed at 80 % of its life, and nobody waits for that", func(t *testing.T) {
		e := &endpoint{answer: numbered(1000)}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(790 * time.Second)
		must(t, o, oauth(), hush("x"), "t1")
		e.mu.Lock()
		e.slow = 3 * time.Second
		e.mu.Unlock()
		time.Sleep(12 * time.Second)
		start := time.Now()
		must(t, o, oauth(), hush("x"), "t1")
		if d := time.Since(start); d != 0 {
			t.Errorf("waited %s", d)
		}
		time.Sleep(5 * time.Second)
		must(t, o, oauth(), hush("x"), "t2")
	})
	run("gateway-119 one that lives for seconds is renewed before it cannot be used", func(t *testing.T) {
		o := office(t, &endpoint{answer: numbered(12)})
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(8 * time.Second) // 5 s before its end it is not used any more
		must(t, o, oauth(), hush("x"), "t2")
	})
	run("a token that is in use is renewed without a request", func(t *testing.T) {
		e := &endpoint{answer: numbered(1000)}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(time.Second)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(805 * time.Second)
		synctest.Wait()
		if e.count() != 2 {
			t.Errorf("asked %d times", e.count())
		}
		time.Sleep(3 * time.Hour) // nobody uses it any more
		synctest.Wait()
		if n := e.count(); n != 2 {
			t.Errorf("asked %d times for a token that nobody uses", n)
		}
	})
	run("gateway-119 the last good token serves until it expires, and no longer", func(t *testing.T) {
		e := &endpoint{answer: func(n int, r *http.Request) (int, string) {
			if n > 1 {
				return 503, `{"error":"temporarily_unavailable","error_description":"hush"}`
			}
			return numbered(1000)(n, r)
		}}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(900 * time.Second)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(94 * time.Second)
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(time.Second)
		_, err := shown(o, oauth(), hush("x"))
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "503 temporarily_unavailable") || strings.Contains(err.Error(), "hush") {
			t.Errorf("error %v", err)
		}
	})
	run("attempts that fail are made less and less often, and nobody waits meanwhile", func(t *testing.T) {
		e := &endpoint{answer: func(int, *http.Request) (int, string) { return 0, "" }}
		o := office(t, e)
		start := time.Now()
		for time.Since(start) < 10*time.Minute {
			if _, err := shown(o, oauth(), hush("x")); !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := e.count(); n < 10 || n > 20 {
			t.Errorf("asked %d times in ten minutes", n)
		}
	})
	run("a request waits 4.5 s for a first token, and those after it find it there", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600), slow: 8 * time.Second}
		o := office(t, e)
		start := time.Now()
		if _, err := shown(o, oauth(), hush("x")); !errors.Is(err, ErrUnavailable) || time.Since(start) != wait {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		time.Sleep(4 * time.Second)
		must(t, o, oauth(), hush("x"), "t1")
	})
	run("gateway-108 a Secret that is rotated has a token of its own at once", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600)}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		must(t, o, oauth(), hush("y"), "t2")
		must(t, o, oauth(), hush("x"), "t1")
	})
	run("a token that a backend refuses is fetched again, now and then", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600)}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		o.Doubt(NewUse(oauth(), hush("x")))
		o.Doubt(NewUse(oauth(), hush("never asked for")))
		synctest.Wait()
		must(t, o, oauth(), hush("x"), "t1")
		time.Sleep(31 * time.Second)
		for range 10 {
			o.Doubt(NewUse(oauth(), hush("x")))
		}
		synctest.Wait()
		must(t, o, oauth(), hush("x"), "t2")
		if e.count() != 2 {
			t.Errorf("asked %d times", e.count())
		}
	})
	run("another namespace shares no token", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600)}
		o := office(t, e)
		other := oauth()
		other.Namespace = "m"
		must(t, o, oauth(), hush("x"), "t1")
		must(t, o, other, hush("x"), "t2")
	})
	run("endpoints that hang keep nobody waiting but their own namespace", func(t *testing.T) {
		e := &endpoint{answer: numbered(3600)}
		o := office(t, e)
		must(t, o, oauth(), hush("x"), "t1")
		e.mu.Lock()
		e.slow = time.Hour
		e.mu.Unlock()
		var all sync.WaitGroup
		defer all.Wait()
		var refused atomic.Int64
		for i := range 500 {
			all.Go(func() {
				hangs := oauth()
				hangs.Namespace, hangs.Token.Audience = "hangs", fmt.Sprint(i)
				if _, err := shown(o, hangs, hush("x")); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%v", err)
				} else if strings.Contains(err.Error(), "namespace hangs has as many tokens as one may, 256") {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := e.count(); n != 1+atOnceOne || refused.Load() != 500-maxOfOne {
			t.Errorf("%d are fetched and %d are too many", n-1, refused.Load())
		}
		e.mu.Lock()
		e.slow = 0
		e.mu.Unlock()
		must(t, o, oauth(), hush("y"), fmt.Sprintf("t%d", 2+atOnceOne))
		must(t, o, oauth(), hush("x"), "t1")
	})
	run("what never came is asked for by requests alone, and forgotten soon", func(t *testing.T) {
		e := &endpoint{answer: func(int, *http.Request) (int, string) { return 0, "" }}
		o := office(t, e)
		if _, err := shown(o, oauth(), hush("x")); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		time.Sleep(mostPause + 2*look)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if n := e.count(); n != 1 || len(o.tickets) != 0 || len(o.shares) != 0 {
			t.Errorf("asked %d times; %d tickets and %d shares are kept", n, len(o.tickets), len(o.shares))
		}
	})
	run("a token that is of no use is none", func(t *testing.T) {
		for _, body := range []string{`{}`, `<html>`, `{"access_token":"a\nb","expires_in":100}`, `{"access_token":"a","token_type":"mac","expires_in":100}`, `{"access_token":"a","expires_in":3}`, `{"access_token":"a","expires_in":-1}`} {
			o := office(t, &endpoint{answer: func(int, *http.Request) (int, string) { return 200, body }})
			if _, err := shown(o, oauth(), hush("x")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
}
