package sim

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, Tokens(text)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	t.Run("maas-133 Hello, world! counts 4 tokens", func(*testing.T) { f("Hello, world!", "Hello", ", ", "world", "!") })
	f("")
	f("  a\n\tb ", "a\n\t", "b ")
	f("snake_case _x", "snake_case ", "_", "x")
	f("don't", "don", "t")
	f("naïve ü x", "na", "ve ", "x")
	f("1,2", "1", ",", "2")
}

func TestSentences(t *testing.T) {
	var counts []int
	for _, s := range sentences() {
		tokens := Tokens(s)
		counts = append(counts, len(tokens))
		if strings.Join(tokens, "") != s {
			t.Errorf("%q has characters that are not counted", s)
		}
	}
	if diff := cmp.Diff([]int{38, 9, 9, 13, 7, 10, 8, 11, 16, 5, 25}, counts); diff != "" {
		t.Error(diff)
	}
}

func TestBucketEdges(t *testing.T) {
	f := func(limit int, want ...int) {
		t.Helper()
		var got []int
		for bucket := range 5 {
			first, last := bucketEdges(limit, bucket)
			got = append(got, first, last)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	f(7, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6)
	f(50, 1, 9, 10, 19, 20, 29, 30, 39, 40, 49)
	f(101, 1, 20, 21, 40, 41, 60, 61, 80, 81, 100)
	f(200, 1, 20, 21, 40, 41, 60, 61, 179, 180, 199)
}

func TestDraw(t *testing.T) {
	const rounds = 20_000
	sample := func(limit int, ignoreEOS bool) (counts map[int]int, finishes map[string]int, mean float64) {
		r := rand.New(rand.NewPCG(1, 2))
		counts, finishes = map[int]int{}, map[string]int{}
		for range rounds {
			n, finish := draw(r, limit, ignoreEOS)
			counts[n]++
			finishes[finish]++
			mean += float64(n) / rounds
			if (finish == length) != (n == limit) {
				t.Fatalf("%d tokens of %d end with %s", n, limit, finish)
			}
		}
		return counts, finishes, mean
	}
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s is %.3f, want about %.3f", what, got, want)
		}
	}
	t.Run("maas-10 with max_tokens 50 a reply has 1 to 50 tokens and ends with length iff 50", func(t *testing.T) {
		counts, finishes, _ := sample(50, false)
		for n := range counts {
			if n < 1 || n > 50 {
				t.Errorf("a reply of %d tokens", n)
			}
		}
		near("share of full replies", float64(finishes[length])/rounds, .15, .01)
	})
	t.Run("maas-12 a call of the quickstart costs 24.8 tokens on average", func(t *testing.T) {
		_, _, mean := sample(50, false)
		near("mean", mean+1, 24.8, .5)
	})
	t.Run("each bucket has its share", func(t *testing.T) {
		counts, _, _ := sample(50, false)
		for bucket, want := range []float64{.2, .3, .2, .05, .1} {
			first, last := bucketEdges(50, bucket)
			n := 0
			for i := first; i <= last; i++ {
				n += counts[i]
			}
			near("share of a bucket", float64(n)/rounds, want, .015)
		}
	})
	t.Run("without a limit", func(t *testing.T) {
		counts, finishes, mean := sample(0, false)
		for n := range counts {
			if n < 1 || n > 128 {
				t.Errorf("a reply of %d tokens", n)
			}
		}
		near("mean", mean, 41.1, 1) // the cut at 1 lifts it above 40
		near("share of stop", float64(finishes[stop])/rounds, 1, 0)
	})
	t.Run("small limits are uniform", func(t *testing.T) {
		counts, _, _ := sample(4, false)
		for n := 1; n <= 4; n++ {
			near("share", float64(counts[n])/rounds, .25, .02)
		}
	})
	t.Run("a limit of 1, or ignore_eos, is always reached", func(t *testing.T) {
		counts, _, _ := sample(1, false)
		if diff := cmp.Diff(map[int]int{1: rounds}, counts); diff != "" {
			t.Error(diff)
		}
		counts, _, _ = sample(10, true)
		if diff := cmp.Diff(map[int]int{10: rounds}, counts); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCompose(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		tokens := compose(r, n)
		if again := Tokens(strings.Join(tokens, "")); len(tokens) != n || len(again) != n {
			t.Fatalf("asked for %d tokens, got %d, which read as %d", n, len(tokens), len(again))
		}
	}
}
