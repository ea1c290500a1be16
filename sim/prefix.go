package sim

import (
	"container/list"
	"hash/maphash"
	"sync"
)

// prefixes is the simulated KV cache of text completions: it knows which leading blocks of prompts were seen lately.
// Only whole blocks are kept, each under the hash of everything up to its end; the one unused longest makes room.
type prefixes struct {
	size, blockSize int
	seed            maphash.Seed

	mu     sync.Mutex
	blocks map[uint64]*list.Element
	recent *list.List // of hashes, the latest first
	inUse  int        // blocks of the prompts that are being served
}

func newPrefixes(k KVCache) *prefixes {
	return &prefixes{size: k.Size, blockSize: k.BlockSize, seed: maphash.MakeSeed(), blocks: map[uint64]*list.Element{}, recent: list.New()}
}

// open takes a prompt in and tells how many of its tokens were cached. After it, close must follow.
func (p *prefixes) open(prompt []string) (cached int) {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var h maphash.Hash
	h.SetSeed(p.seed)
	leading := true
	for i, token := range prompt {
		_, _ = h.WriteString(token) // a Hash never fails
		_ = h.WriteByte(0)
		if (i+1)%p.blockSize != 0 {
			continue
		}
		known := p.touch(h.Sum64())
		leading = leading && known
		if leading {
			cached = i + 1
		}
	}
	p.inUse += p.count(prompt)
	return cached
}

// close ends the use of a prompt's blocks; they stay cached.
func (p *prefixes) close(prompt []string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse -= p.count(prompt)
}

// touch makes a block the latest and reports whether it was there.
func (p *prefixes) touch(hash uint64) bool {
	if e, ok := p.blocks[hash]; ok {
		p.recent.MoveToFront(e)
		return true
	}
	p.blocks[hash] = p.recent.PushFront(hash)
	if p.recent.Len() > p.size {
		oldest := p.recent.Remove(p.recent.Back()).(uint64)
		delete(p.blocks, oldest)
	}
	return false
}

func (p *prefixes) count(prompt []string) int { return len(prompt) / p.blockSize }

// use is the fraction of the cache that running requests hold, from 0 to 1.
func (p *prefixes) use() float64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(1, float64(p.inUse)/float64(p.size))
}
