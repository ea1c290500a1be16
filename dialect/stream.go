package dialect

import "bytes"

// stream passes events on; complete ones only, as long as one may have to be removed.
func (r *Reply) stream(b []byte, last bool) []byte {
	strip, src := r.strip, b
	if len(r.held) > 0 {
		r.held = append(r.held, b...)
		src = r.held
	}
	kept, from, at := r.walk(src)
	rest := src[at:]
	if last && len(rest) > 0 && r.event(rest) { // some senders save the last blank line
		rest, src = nil, src[:at]
	}
	if last || len(rest) > maxHeld {
		r.strip = false
	}
	to := len(src)
	if r.strip {
		to = at
	}
	r.hold(rest, at > 0 || len(r.held) == 0)
	r.open = !r.strip && (r.lost || len(rest) > 0)
	r.done = r.done || last && r.dialect == None && !r.open
	switch {
	case !strip:
		return b
	case len(kept) == 0:
		return src[from:to]
	}
	r.out = append(kept, src[from:to]...)
	return r.out
}

// walk reads the complete events of src, which end at place at. When some were removed, kept holds what stood before the last
// of them and src[from:] what stands behind it.
func (r *Reply) walk(src []byte) (kept []byte, from, at int) {
	kept = r.out[:0]
	if r.lost {
		at = r.passLost(src)
	}
	for at < len(src) {
		n := r.split.next(src[at:])
		if n == 0 {
			break
		}
		if r.event(src[at : at+n]) {
			kept = append(kept, src[from:at]...)
			from = at + n
		}
		at += n
	}
	return kept, from, at
}

// passLost passes over the event that is too large to be read, up to its end or that of src.
func (r *Reply) passLost(src []byte) int {
	n := r.split.next(src)
	if r.lost = n == 0; r.lost {
		n = len(src)
		r.split.forget()
	}
	r.text += int64(n)
	return n
}

// hold keeps the beginning of an event for the next call. It is the end of held, unless fresh says that it stands elsewhere or
// behind something that has passed.
func (r *Reply) hold(rest []byte, fresh bool) {
	switch {
	case len(rest) > maxBody:
		r.lost = true
		r.text += int64(len(rest))
		r.held = nil
		r.split.forget()
	case fresh:
		r.spare = append(r.spare[:0], rest...)
		r.held, r.spare = r.spare, r.held
	}
}

// event reads one event and reports whether it must not reach the client.
func (r *Reply) event(event []byte) (drop bool) {
	if len(event) == 1 && event[0] == '\n' { // half of a CRLF: it goes where the event went
		return r.dropped
	}
	if !r.began {
		r.began = true
		event = bytes.TrimPrefix(event, []byte("\ufeff"))
	}
	var data []byte
	data, r.join = eventData(event, r.join)
	r.dropped = r.data(bytes.TrimSpace(data))
	return r.dropped
}

// data reads the data of an event and reports whether it is the chunk that AskUsage caused.
func (r *Reply) data(data []byte) bool {
	switch {
	case len(data) == 0:
		return false
	case string(data) == "[DONE]":
		r.done = true
		return false
	}
	v, ok := look(data)
	if !ok {
		r.text += int64(len(data))
		return false
	}
	r.take(&v)
	return r.strip && v.used && v.noChoices
}
