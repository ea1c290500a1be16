package proxy

import "testing"

// Pieces take turns, so the one that grows may never have been read into. What
// it gives back must not be nothing: the next exchange would read into it.
func TestPieceThatWasNeverReadGrowsWithoutSpoilingTheBuffers(t *testing.T) {
	var all buffers
	all.init()
	for range 100 { // a pool may drop what it is given
		p := piece{from: &all}
		p.grow(smallBuffer)
		if got := len(p.room()); got != largeBuffer {
			t.Fatalf("a piece that has grown has room for %d bytes, want %d", got, largeBuffer)
		}
		p.free()
		next := piece{from: &all}
		if got := len(next.room()); got != smallBuffer {
			t.Fatalf("a fresh piece has room for %d bytes, want %d", got, smallBuffer)
		}
	}
}
