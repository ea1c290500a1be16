package sim

import (
	"math/rand/v2"
	"time"
)

// pace draws how long the tokens of one request take.
type pace struct {
	*Latency
	rand  *rand.Rand
	seats int
	busy  func() int
}

// first is the time before the first token of a reply: a prefill, or the transfer of one that was made elsewhere.
func (p pace) first(remotePrefill bool, prompt, cached int) time.Duration {
	switch {
	case remotePrefill && p.KVTransfer == 0 && p.KVTransferStdDev == 0:
		return p.draw(time.Duration(prompt)*p.KVTransferPerToken, p.KVTransferTokensStdDev)
	case remotePrefill:
		return p.draw(p.KVTransfer, p.KVTransferStdDev)
	case p.FirstToken == 0 && p.FirstTokenStdDev == 0:
		mean := p.PrefillOverhead + time.Duration(prompt-cached)*p.PrefillPerToken
		return p.draw(p.loaded(mean), p.PrefillStdDev)
	}
	return p.draw(p.loaded(p.FirstToken), p.FirstTokenStdDev)
}

// next is the time before any other token.
func (p pace) next() time.Duration {
	if p.InterToken == 0 {
		return 0
	}
	return p.draw(p.loaded(p.InterToken), p.InterTokenStdDev)
}

// loaded stretches a time from 1 for a lone request to LoadFactor when all seats are taken.
func (p pace) loaded(d time.Duration) time.Duration {
	if p.LoadFactor == 1 || p.seats <= 1 {
		return d
	}
	factor := 1 + (p.LoadFactor-1)*float64(p.busy()-1)/float64(p.seats-1)
	return time.Duration(float64(d) * factor)
}

// draw samples a normal distribution, clamped to 30–170 % of its mean.
func (p pace) draw(mean, stdDev time.Duration) time.Duration {
	if stdDev == 0 {
		return mean
	}
	sample := time.Duration(p.rand.NormFloat64()*float64(stdDev)) + mean
	return min(max(sample, mean*3/10), mean*17/10)
}
