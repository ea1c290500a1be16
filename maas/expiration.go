package maas

import (
	"encoding/json"
	"errors"
	"math"
	"time"
)

const (
	// MinLifetime is the shortest life of a token that one can ask for; it is
	// also the shortest that Kubernetes makes.
	MinLifetime = 10 * time.Minute
	// DefaultLifetime is that of a token nobody gave one.
	DefaultLifetime = 4 * time.Hour
	// DefaultKeyLifetime is that of an API key nobody gave one.
	DefaultKeyLifetime = 720 * time.Hour
)

var (
	errDuration = errors.New("invalid duration")
	errPositive = errors.New("expiration must be positive")
	errTooShort = errors.New("token expiration must be at least 10 minutes")
)

// Expiration is a lifetime in a request: a Go duration as text ("1h30m",
// "601s") or a number of seconds. The zero value, left by an absent field or
// null, means that the default of the endpoint applies.
type Expiration struct {
	Set      bool          // something was given
	Duration time.Duration // what was given, not yet checked
}

// UnmarshalJSON implements json.Unmarshaler. Empty text is zero, which no
// endpoint accepts; lifetimes beyond what a time.Duration holds (292 years) are invalid.
func (e *Expiration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*e = Expiration{}
		return nil
	case float64:
		ns := v * float64(time.Second)
		if math.Abs(ns) >= math.MaxInt64 {
			return errDuration
		}
		*e = Expiration{Set: true, Duration: time.Duration(ns)}
		return nil
	case string:
		if v == "" {
			*e = Expiration{Set: true}
			return nil
		}
		d, err := time.ParseDuration(v)
		*e = Expiration{Set: true, Duration: d}
		return err
	}
	return errDuration
}

// Or returns the lifetime, or the default where none was given.
func (e Expiration) Or(byDefault time.Duration) time.Duration {
	if e.Set {
		return e.Duration
	}
	return byDefault
}

// checkLifetime refuses a lifetime that no token can have.
func checkLifetime(d time.Duration) error {
	switch {
	case d <= 0:
		return errPositive
	case d < MinLifetime:
		return errTooShort
	}
	return nil
}
