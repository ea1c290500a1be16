package proxy

import "sync"

// Sizes of what an answer is read into. A stream of small events never needs
// more than the small one; a body that fills it moves on to the large one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// buffers are shared by all exchanges of a server.
type buffers struct{ small, large sync.Pool }

func (b *buffers) init() {
	b.small.New = func() any { return new([smallBuffer]byte) }
	b.large.New = func() any { return new([largeBuffer]byte) }
}

// piece is a buffer that an answer is read into.
type piece struct {
	from  *buffers
	small *[smallBuffer]byte
	large *[largeBuffer]byte
}

// room is where to read the next piece of an answer to.
func (p *piece) room() []byte {
	switch {
	case p.large != nil:
		return p.large[:]
	case p.small == nil:
		p.small = p.from.small.Get().(*[smallBuffer]byte)
	}
	return p.small[:]
}

// grow makes the next room a large one, when the last read filled the small.
func (p *piece) grow(n int) {
	if p.large == nil && n == smallBuffer {
		p.free()
		p.large = p.from.large.Get().(*[largeBuffer]byte)
	}
}

// free gives the buffer back; what was read into it must not be used any more.
func (p *piece) free() {
	if p.small != nil {
		p.from.small.Put(p.small)
	}
	if p.large != nil {
		p.from.large.Put(p.large)
	}
	p.small, p.large = nil, nil
}
