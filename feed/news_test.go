package feed

import (
	"fmt"
	"testing"
	"time"

	"github.com/egret-gateway/egret/sight"
)

// TestDue: what is worse or other is told at once, and what is as it was now and
// then.
func TestDue(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration, good bool, text string) sight.Fact {
		return sight.Fact{Object: "o", Kind: sight.Resolved, Good: good, Text: text, At: noon.Add(after)}
	}
	renewed := at(time.Second, true, "x")
	renewed.Ends = noon.Add(time.Hour)
	f := func(name string, was, is sight.Fact, want bool) {
		t.Helper()
		if got := due(was, is); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("still so", at(0, true, "x"), at(stillSo-1, true, "x"), false)
	f("still so after a while", at(0, true, "x"), at(stillSo, true, "x"), true)
	f("still bad", at(0, false, "x"), at(stillSo-1, false, "x"), false)
	f("good in other words", at(0, true, "x"), at(reworded-1, true, "y"), false)
	f("good in other words after a while", at(0, true, "x"), at(reworded, true, "y"), true)
	f("bad in other words", at(0, false, "x"), at(1, false, "y"), true)
	f("worse", at(0, true, "x"), at(1, false, "x"), true)
	f("better", at(0, false, "x"), at(1, true, "x"), true)
	f("another certificate", at(0, true, "x"), renewed, true)
}

// TestNews: what does not fit into a word is in the next.
func TestNews(t *testing.T) {
	told := map[string]sight.Fact{}
	var facts []sight.Fact
	for i := range mostTold + 10 {
		facts = append(facts, sight.Fact{Object: fmt.Sprint(i), Kind: sight.Connected})
	}
	for _, want := range []int{mostTold, 10, 0} {
		if got := len(news(told, facts)); got != want {
			t.Errorf("%d facts are told, want %d", got, want)
		}
	}
	if news(told, facts[:1]); len(told) != 1 {
		t.Errorf("%d facts are remembered of one that there is", len(told))
	}
}
