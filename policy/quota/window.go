package quota

import (
	"fmt"
	"time"
)

// units are those of a Kuadrant window.
var units = map[string]time.Duration{
	"h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
}

// Window parses the length of a window as Kuadrant writes it: one to four
// groups of one to five digits and a unit h, m, s or ms, which are added up
// ("1m", "1h30m"). Days are not a unit, and an empty window counts nothing:
// both are refused (acceptance maas 112).
func Window(s string) (time.Duration, error) {
	var sum time.Duration
	rest := s
	for group := 0; rest != ""; group++ {
		n, digits := 0, 0
		for ; digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9'; digits++ {
			if digits == 5 {
				return 0, fmt.Errorf("window %q: at most five digits before a unit", trim(s))
			}
			n = 10*n + int(rest[digits]-'0')
		}
		letters := digits
		for letters < len(rest) && (rest[letters] < '0' || rest[letters] > '9') {
			letters++
		}
		unit, ok := units[rest[digits:letters]]
		if digits == 0 || !ok {
			return 0, fmt.Errorf("window %q: write numbers with the units h, m, s or ms, such as 24h or 1h30m", trim(s))
		}
		if group == 4 {
			return 0, fmt.Errorf("window %q: at most four numbers with units", trim(s))
		}
		sum += time.Duration(n) * unit
		rest = rest[letters:]
	}
	if sum == 0 {
		return 0, fmt.Errorf("window %q: must be longer than nothing, such as 1m", trim(s))
	}
	return sum, nil
}

// trim shortens a user's text for a message.
func trim(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
