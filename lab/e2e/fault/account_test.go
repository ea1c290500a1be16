//go:build cluster

package fault

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/stage"
)

// account sees that every answer that came in full is in the ledger and in the
// counters. A killed process that carried calls may not have got to charging
// what it had just answered: calls that ended within a moment before its end.
func (s *scene) account(t *testing.T, r row, p *person, calls []stage.Call, from, to time.Time) {
	t.Helper()
	var all, sure sum
	for _, c := range calls {
		if c.Status != 200 || c.Err != nil {
			continue
		}
		all.add(c.Tokens)
		if end := c.Begun.Add(c.Took); !r.carries || end.Before(from.Add(-moment)) || end.After(to) {
			sure.add(c.Tokens)
		}
	}
	var ledger sum
	var counter int
	s.Eventually(t, recovery, "nothing charged is lost", func() error {
		ledger, counter = s.ledger(t, p.user), s.counter(t, p.user)
		if ledger.answers < sure.answers || ledger.tokens < sure.tokens || counter < sure.tokens {
			return fmt.Errorf("answered: %v, of which %v cannot have been under way; the ledger has %v, the counter %d", all, sure, ledger, counter)
		}
		return nil
	})
	t.Logf("answered: %v, of which %v cannot have been under way; the ledger has %v, the counter %d", all, sure, ledger, counter)
}

// sum is what a number of answers cost.
type sum struct{ answers, tokens int }

func (s *sum) add(tokens int) { s.answers, s.tokens = s.answers+1, s.tokens+tokens }

func (s sum) String() string { return fmt.Sprintf("%d answers of %d tokens", s.answers, s.tokens) }

func (s *scene) ledger(t *testing.T, user string) sum {
	return sum{s.sql(t, "count(*)", user), s.sql(t, "sum(total)", user)}
}

func (s *scene) sql(t *testing.T, what, user string) int {
	t.Helper()
	return number(t, s.Kubectl(t, "exec", "-n", s.stores, "deployment/postgres", "--", "/usr/lib/postgresql/15/bin/psql", "-h", "/tmp", "-U", "egret", "-Atc",
		"SELECT "+what+" FROM ledger WHERE gateway = 'openshift-ingress/maas-default-gateway' AND status = 200 AND username = '"+user+"'"))
}

// counter adds up the windows of somebody's counters.
func (s *scene) counter(t *testing.T, user string) (sum int) {
	t.Helper()
	keys := s.Kubectl(t, "exec", "-n", s.stores, "deployment/redis", "--", "redis-cli", "--scan", "--pattern", "*"+user+"*")
	for key := range strings.Lines(keys) {
		used := s.Kubectl(t, "exec", "-n", s.stores, "deployment/redis", "--", "redis-cli", "HGET", strings.TrimSpace(key), "used")
		if used = strings.TrimSpace(used); used != "" {
			sum += number(t, used)
		}
	}
	return sum
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil && strings.TrimSpace(text) != "" {
		t.Fatal(err)
	}
	return n
}
