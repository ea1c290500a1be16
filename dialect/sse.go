package dialect

import "bytes"

// splitter finds where server-sent events end in a stream that comes in arbitrary pieces. Lines end with LF, CRLF or CR; an
// event ends with a blank line (WHATWG HTML, "Server-sent events").
type splitter struct {
	from int  // bytes of the event that were searched before
	open bool // the event has a byte other than line ends
	line bool // the current line has a byte
	cr   bool // the byte before was a CR, so a LF now belongs to it
}

// next returns the length of the event at the start of b with its blank line, or 0 when b does not hold all of it; then b must
// come again with more behind it. A CRLF that was cut in two leaves its LF as an event of its own.
func (s *splitter) next(b []byte) int {
	if s.cr && !s.open && len(b) > 0 && b[0] == '\n' {
		s.cr = false
		return 1
	}
	for s.from < len(b) {
		n := lineEnd(b[s.from:])
		if n != 0 {
			s.open, s.line, s.cr = true, true, false
		}
		if n < 0 {
			break
		}
		s.from += n + 1
		c := b[s.from-1]
		if c == '\n' && s.cr {
			s.cr = false
			continue
		}
		s.cr = c == '\r'
		if s.line {
			s.line = false
			continue
		}
		n = s.from
		if s.cr && n < len(b) && b[n] == '\n' {
			s.cr = false
			n++
		}
		s.from, s.open = 0, false
		return n
	}
	s.from = len(b)
	return 0
}

// forget goes on in the middle of an event whose bytes so far will not come again.
func (s *splitter) forget() { s.from = 0 }

// lineEnd returns the place of the first CR or LF, or -1. It looks through windows, so that a stream with only one of the
// two is not searched to its end for the other with every line.
func lineEnd(b []byte) int {
	const window = 4096
	for at := 0; at < len(b); at += window {
		w := b[at:min(at+window, len(b))]
		lf := bytes.IndexByte(w, '\n')
		if lf >= 0 {
			w = w[:lf]
		}
		if cr := bytes.IndexByte(w, '\r'); cr >= 0 {
			return at + cr
		}
		if lf >= 0 {
			return at + lf
		}
	}
	return -1
}

// eventData returns the data of one event: the values of its data lines, joined with LF. Room is used when there are several
// and returned for the next time.
func eventData(event, room []byte) (data, newRoom []byte) {
	lines := 0
	for len(event) > 0 {
		line := event
		if n := lineEnd(event); n >= 0 {
			line, event = event[:n], event[n+1:]
		} else {
			event = nil
		}
		value, ok := bytes.CutPrefix(line, []byte("data"))
		if !ok || len(value) > 0 && value[0] != ':' {
			continue
		}
		value = bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" "))
		switch lines++; lines {
		case 1:
			data = value
		case 2:
			room = append(append(room[:0], data...), '\n')
			fallthrough
		default:
			if lines > 2 {
				room = append(room, '\n')
			}
			room = append(room, value...)
			data = room
		}
	}
	return data, room
}
