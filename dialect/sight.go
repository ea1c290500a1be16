package dialect

// sight is what one JSON text of an answer shows: a whole unary body, or the data of one event.
type sight struct {
	kind      []byte // "type", as Anthropic's and the responses dialect's events have it
	model     []byte // the inside of the JSON string
	counts    counts
	used      bool // there is a usage object
	noChoices bool // "choices": []
	failed    bool // there is an error object
	text      int  // bytes of answer text
}

// look reads data; false when it is not a JSON object. Nothing is allocated.
func look(data []byte) (v sight, ok bool) {
	s := scanner{b: data}
	if s.next() != object {
		return v, false
	}
	v.counts = noCounts
	v.members(&s, true)
	return v, s.next() == end
}

// members reads the object that s has just entered: the outermost one, or the one inside it that wraps an Anthropic message or
// a response. The latter repeats text that has passed, so its text does not count.
func (v *sight) members(s *scanner, outer bool) {
	for s.next() == key {
		name := s.text()
		t := s.next()
		switch string(name) {
		case "usage":
			if t == object {
				v.counts, v.used = readCounts(s), true
				continue
			}
		case "model":
			if t == str && v.model == nil {
				v.model = s.text()
			}
		case "type":
			if t == str && outer {
				v.kind = s.text()
			}
		case "error":
			v.failed = v.failed || t == object && outer
		case "message", "response":
			if t == object && outer {
				v.members(s, false)
				continue
			}
		case "choices":
			from := s.at
			v.text += textSize(s, t, 0)
			v.noChoices = t == array && blank(s.b[from:max(from, s.from)])
			continue
		case "delta", "content", "output":
			if outer {
				v.text += textSize(s, t, 0)
				continue
			}
		}
		s.skip(t)
	}
}

// blank reports whether b is white space only.
func blank(b []byte) bool {
	for _, c := range b {
		if c > ' ' {
			return false
		}
	}
	return true
}
