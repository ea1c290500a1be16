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
// counters.
func (s *scene) account(t *testing.T, p *person, calls []stage.Call) {
	t.Helper()
	answered, answers := 0, 0
	for _, c := range calls {
		if c.Status == 200 && c.Err == nil {
			answered, answers = answered+c.Tokens, answers+1
		}
	}
	var ledger, lines, counted int
	s.Eventually(t, recovery, "nothing charged is lost", func() error {
		ledger, lines, counted = s.ledger(t, p.user), s.lines(t, p.user), s.counter(t, p.user)
		if ledger < answered || lines < answers || counted < answered {
			return fmt.Errorf("%d answers of %d tokens; the ledger has %d of %d, the counter %d", answers, answered, lines, ledger, counted)
		}
		return nil
	})
	t.Logf("%d answers of %d tokens; the ledger has %d of %d, the counter %d", answers, answered, lines, ledger, counted)
}

func (s *scene) ledger(t *testing.T, user string) int { return s.sql(t, "sum(total)", user) }
func (s *scene) lines(t *testing.T, user string) int  { return s.sql(t, "count(*)", user) }

func (s *scene) sql(t *testing.T, what, user string) int {
	t.Helper()
	return number(t, s.Kubectl(t, "exec", "-n", s.stores, "deployment/postgres", "--", "/usr/lib/postgresql/15/bin/psql", "-h", "/tmp", "-U", "egret", "-Atc",
		"SELECT "+what+" FROM ledger WHERE gateway = 'openshift-ingress/maas-default-gateway' AND verdict = 'allowed' AND username = '"+user+"'"))
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

var _ = time.Second
