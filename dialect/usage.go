package dialect

// Usage is what a call cost in tokens, in one meaning for all dialects: Cached and CacheWrite are parts of Input, Reasoning is
// a part of Output. Total is Input + Output unless the provider's own total says otherwise.
type Usage struct {
	Input, Output, Total          int64
	Cached, CacheWrite, Reasoning int64
	Exact                         bool // the provider's own numbers; otherwise an estimate
}

// maxCount is the largest credible number of tokens of one call.
const maxCount = 1 << 40

// tokenBytes is how many bytes of text count as one token in an estimate.
const tokenBytes = 4

// absent marks a count that the provider did not give.
const absent = -1

// counts are the numbers of a usage object as they stand, under whichever of the dialects' names. The names do not collide, so
// one reader serves all; what they add up to is each dialect's own matter.
type counts struct {
	input, output, total          int64
	cached, cacheWrite, reasoning int64 // cached: within details in OpenAI's dialects, cache reads in Anthropic's
	broken                        bool  // one of the first three is not a credible count
}

var noCounts = counts{absent, absent, absent, absent, absent, absent, false}

// readCounts reads the usage object that s has just entered. A broken detail is left out; a broken main count spoils the whole.
func readCounts(s *scanner) counts {
	c := noCounts
	for s.next() == key {
		switch string(s.text()) {
		case "prompt_tokens", "input_tokens":
			c.main(s, &c.input)
		case "completion_tokens", "output_tokens":
			c.main(s, &c.output)
		case "total_tokens":
			c.main(s, &c.total)
		case "cache_creation_input_tokens":
			c.cacheWrite = count(s, s.next())
		case "cache_read_input_tokens":
			c.cached = count(s, s.next())
		case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details":
			c.details(s)
		default:
			s.skip(s.next())
		}
	}
	return c
}

func (c *counts) main(s *scanner, n *int64) {
	t := s.next()
	*n = count(s, t)
	c.broken = c.broken || *n == absent && t != null
}

func (c *counts) details(s *scanner) {
	t := s.next()
	if t != object {
		s.skip(t)
		return
	}
	for s.next() == key {
		switch string(s.text()) {
		case "cached_tokens":
			c.cached = count(s, s.next())
		case "reasoning_tokens":
			c.reasoning = count(s, s.next())
		default:
			s.skip(s.next())
		}
	}
}

// count reads the value that began with t as a number of tokens: digits only, at most maxCount; anything else is absent.
func count(s *scanner, t token) (n int64) {
	if t != number {
		s.skip(t)
		return absent
	}
	for _, c := range s.raw() {
		if c < '0' || c > '9' {
			return absent
		}
		if n = n*10 + int64(c-'0'); n > maxCount {
			return absent
		}
	}
	return n
}

// usage adds the counts up as dialect d does; false when they do not make a usage.
func (c counts) usage(d Dialect) (Usage, bool) {
	if c.broken {
		return Usage{}, false
	}
	switch d {
	case AnthropicMessages:
		return anthropicUsage(c)
	case None:
		if c.total == absent {
			return Usage{}, false
		}
	}
	return openAIUsage(c)
}

// within returns a part of a whole: 0 when it is absent or larger than the whole.
func within(part, whole int64) int64 {
	if part > whole {
		return 0
	}
	return max(part, 0)
}
