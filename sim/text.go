package sim

import (
	"math"
	"math/rand/v2"
)

// Reasons a reply ends with, as they appear on the wire and in vllm:request_success_total.
const (
	stop         = "stop"
	length       = "length"
	toolCalls    = "tool_calls"
	remoteDecode = "remote_decode"
)

// What a reply without a limit is as long as: a normal distribution, drawn again until it falls inside the bounds.
const (
	freeMean   = 40
	freeStdDev = 20
	freeMax    = 128
)

// sentences is what random replies are made of. Their token counts decide how replies look when cut, and are the
// simulator's own: 38, 9, 9, 13, 7, 10, 8, 11, 16, 5, 25.
func sentences() [11]string {
	return [11]string{
		`[marks] {1} (2) <3> 4, 5; 6: 7? 8! 9. + - * / = % & @ # $ ^ ~ "_`,
		"Testing, testing 1,2,3.",
		"I am fine, thanks, and you?",
		"Hello, I am your assistant, what may I do today?",
		"The sun is out this morning.",
		"It is twenty-five degrees in the shade.",
		"Today it is partially cloudy and raining.",
		"To be or not to be: that is the question",
		"Alas, poor Yorick! I knew him, Horatio: a fellow of infinite jest",
		"The rest is silence.",
		"Give someone a fish and they eat for a day; teach them to fish and they eat for as long as there are rivers",
	}
}

// draw picks the length of a random reply and why it ends there. A limit of 0 means that the request set none.
func draw(r *rand.Rand, limit int, ignoreEOS bool) (n int, finish string) {
	switch {
	case limit == 0:
		return drawFree(r), stop
	case ignoreEOS:
		return limit, length
	case limit <= 6:
		n = 1 + r.IntN(limit)
	default:
		n = drawBucket(r, limit)
	}
	if n == limit {
		return n, length
	}
	return n, stop
}

func drawFree(r *rand.Rand) int {
	for {
		if n := int(math.Round(r.NormFloat64()*freeStdDev + freeMean)); 1 <= n && n <= freeMax {
			return n
		}
	}
}

// drawBucket draws from six buckets of lengths: the last is exactly the limit, the five others share what is below it.
func drawBucket(r *rand.Rand, limit int) int {
	chances := [...]float64{.2, .3, .2, .05, .1, .15}
	bucket, at := 0, r.Float64()
	for bucket < len(chances)-1 && at >= chances[bucket] {
		at -= chances[bucket]
		bucket++
	}
	if bucket == len(chances)-1 {
		return limit
	}
	first, last := bucketEdges(limit, bucket)
	return first + r.IntN(last-first+1)
}

// bucketEdges gives the shortest and the longest length of one of the first five buckets: equal shares for limits up
// to 101, beyond that twenty tokens each except the fourth, which takes the rest.
func bucketEdges(limit, bucket int) (first, last int) {
	const width = 20
	if limit <= 5*width+1 {
		// Integer arithmetic for floor(w·i) with w = (limit−1)/5.
		return (limit-1)*bucket/5 + 1, min((limit-1)*(bucket+1)/5, limit-1)
	}
	switch bucket {
	case 3:
		return 3*width + 1, limit - 1 - width
	case 4:
		return limit - width, limit - 1
	}
	return width*bucket + 1, width * (bucket + 1)
}

// compose makes a text of exactly n tokens from randomly drawn sentences, the last one cut.
func compose(r *rand.Rand, n int) []string {
	list := sentences()
	tokens := make([]string, 0, n)
	for len(tokens) < n {
		if last := len(tokens) - 1; last >= 0 {
			tokens[last] += " "
		}
		next := Tokens(list[r.IntN(len(list))])
		tokens = append(tokens, next[:min(len(next), n-len(tokens))]...)
	}
	return tokens
}
