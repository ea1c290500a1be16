package quota

import (
	"regexp"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	f := func(in string, want time.Duration) {
		t.Helper()
		got, err := Window(in)
		if err != nil || got != want {
			t.Errorf("Window(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	f("1m", time.Minute)
	f("24h", 24*time.Hour)
	f("1h30m", 90*time.Minute)
	f("5ms", 5*time.Millisecond)
	f("1h2m3s4ms", time.Hour+2*time.Minute+3*time.Second+4*time.Millisecond)
	f("00010s", 10*time.Second)
	f("1s1s", 2*time.Second)
	f("99999h99999h99999h99999h", 4*99999*time.Hour)
}

func TestWindowRefused(t *testing.T) {
	t.Run("maas-112 a day is not a unit", func(t *testing.T) { refused(t, "1d") })
	t.Run("other mistakes", func(t *testing.T) {
		for _, in := range []string{"", "m", "1", "1m ", " 1m", "-1m", "1.5h", "123456s", "1h1h1h1h1h", "1M", "0s", "0h0ms", "1µs", "1m30"} {
			refused(t, in)
		}
	})
}

func refused(t *testing.T, in string) {
	t.Helper()
	if got, err := Window(in); err == nil {
		t.Errorf("Window(%q) = %v, want an error", in, got)
	}
}

func FuzzWindow(f *testing.F) {
	for _, s := range []string{"1m", "1h30m", "5ms", "1d", "", "0s", "99999h99999h99999h99999h", "1m1", "1ms1s"} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)
	digit := regexp.MustCompile(`[1-9]`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Window(s)
		valid := pattern.MatchString(s) && digit.MatchString(s)
		if (err == nil) != valid {
			t.Fatalf("Window(%q) = %v, %v; the schema says %v", s, got, err, valid)
		}
		if err != nil {
			return
		}
		if want, werr := time.ParseDuration(s); werr != nil || got != want || got <= 0 {
			t.Fatalf("Window(%q) = %v, the standard library has %v, %v", s, got, want, werr)
		}
	})
}
