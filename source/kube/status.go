package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// Status is everything that is to be said about the objects of the last
// snapshot. Whatever is ours and not in it is withdrawn.
type Status struct {
	// Conditions are those of compile and of whoever else has something to say.
	Conditions []source.Condition
	// Addresses are those of the Gateways. A Gateway that is not in it has
	// none; nil leaves all addresses as they are.
	Addresses map[source.Key][]gwv1.GatewayStatusAddress
	// Features are what our GatewayClasses support; nil leaves them as they are.
	Features []gwv1.FeatureName
	// Held are objects whose status stays as it is for now, whatever is asked.
	// Of a route with parents, only the entries for these stay.
	Held map[source.Key][]source.Ref
}

// Holds reports whether what a condition says is not written for now.
func (s *Status) Holds(c source.Condition) bool {
	parents, held := s.Held[c.Key()]
	return held && (len(parents) == 0 || slices.Contains(parents, c.Parent))
}

// Equal reports whether two times the same is to be said.
func (s *Status) Equal(o *Status) bool {
	return slices.Equal(s.Conditions, o.Conditions) && slices.Equal(s.Features, o.Features) &&
		maps.EqualFunc(s.Held, o.Held, slices.Equal) && reflect.DeepEqual(s.Addresses, o.Addresses)
}

// asked sorts a status by object.
func (s *Status) asked() map[source.Key]asked {
	out := map[source.Key]asked{}
	for _, c := range s.Conditions {
		a := out[c.Key()]
		a.conditions = append(a.conditions, c)
		out[c.Key()] = a
	}
	for key, a := range out {
		switch key.Kind {
		case "Gateway":
			a.addresses, a.knowsAddresses = s.Addresses[key], s.Addresses != nil
		case "GatewayClass":
			a.features = s.Features
		}
		out[key] = a
	}
	for key, parents := range s.Held {
		a := out[key]
		a.held, a.parents = len(parents) == 0, parents
		out[key] = a
	}
	return out
}

// Write makes the API server's status say what is asked, and returns when
// that was tried for every object that says something else. It is given up
// after 30 s. Objects whose status could not be written are named in the error;
// they are tried again, with pauses from 1 s to 5 min, while Run runs, as is
// whatever somebody else overwrites. An object that is newer than what is asked,
// or gone, is left for the next Write. A Write that another one overtakes ends
// early and returns nil. Only one process may write for a controller: see Rest.
func (s *Source) Write(ctx context.Context, st Status) error {
	return s.writer.write(ctx, st.asked())
}

// Report writes conditions only.
func (s *Source) Report(ctx context.Context, cs []source.Condition) error {
	return s.Write(ctx, Status{Conditions: cs})
}

// Rest forgets what was asked, so that nothing is written before the next
// Write: another process leads now.
func (s *Source) Rest() { s.writer.rest() }

// Bounds of a round of writing.
const (
	roundLimit   = 30 * time.Second
	requestLimit = 10 * time.Second
	atOnce       = 8
	errorsShown  = 8
)

// Pauses before the same is written to an object again. The first is also how
// far the watch may be behind what was written.
const (
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	forgotten  = 15 * time.Minute
)

// attempt is the last time that something was written, or tried to be.
type attempt struct {
	digest string // of what was asked
	at     time.Time
	pause  time.Duration // until the same may be tried again
}

// due returns when the same may be written again. An object that somebody
// keeps overwriting, or that cannot be written, gets ever longer pauses.
func (a attempt) due(digest string) time.Time {
	if a.digest != digest {
		return time.Time{}
	}
	return a.at.Add(a.pause)
}

func (a attempt) next(digest string, now time.Time) attempt {
	out := attempt{digest, now, firstPause}
	if a.digest == digest && now.Sub(a.at) < 10*a.pause {
		out.pause = min(2*a.pause, lastPause)
	}
	return out
}

// tooMany joins errors, the first of many only.
func tooMany(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if n := len(errs) - errorsShown; n > 0 {
		errs = append(errs[:errorsShown:errorsShown], fmt.Errorf("and %d more", n))
	}
	return errors.Join(errs...)
}
