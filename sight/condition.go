package sight

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// domain is before the types of conditions that say what was seen, so that
// nobody takes them for what an API promises.
const domain = "egret.dev/"

// Reasons by kind: of a fact that is good and of one that is bad.
var reasons = map[Kind][2]string{
	Resolved:      {"Found", "NotFound"},
	Connected:     {"Answers", "NoConnection"},
	Authenticated: {"CredentialTaken", "CredentialRefused"},
}

// Bad reports whether a condition tells of something that was seen to fail.
func Bad(c source.Condition) bool {
	return strings.HasPrefix(c.Type, domain) && c.Status == metav1.ConditionFalse
}

// Shown reports whether an object has a status for what is seen of it.
func Shown(object string) bool {
	kind, _, _ := strings.Cut(object, " ")
	return shown(kind)
}

func shown(kind string) bool { return kind == "XBackendDestination" || kind == "XBackend" }

// Conditions are what facts say of the objects that cs are about, once for each
// parent that cs know of. Objects without a status of their own have none.
func Conditions(facts []Fact, cs []source.Condition) (out []source.Condition) {
	of := map[string][]Fact{}
	for _, f := range facts {
		if Shown(f.Object) {
			of[f.Object] = append(of[f.Object], f)
		}
	}
	if len(of) == 0 {
		return nil
	}
	type part struct {
		source.Key
		parent source.Ref
	}
	done := map[part]bool{}
	for _, c := range cs {
		if !shown(c.Kind) {
			continue
		}
		at := part{c.Key(), c.Parent}
		if done[at] {
			continue
		}
		for _, f := range of[c.Kind+" "+c.Namespace+"/"+c.Name] {
			done[at] = true
			out = append(out, f.condition(c))
		}
	}
	return out
}

// condition is what f says, beside another condition of the same object.
func (f *Fact) condition(beside source.Condition) source.Condition {
	status, reason := metav1.ConditionTrue, reasons[f.Kind][0]
	if !f.Good {
		status, reason = metav1.ConditionFalse, reasons[f.Kind][1]
	}
	return source.Condition{
		Kind: beside.Kind, Namespace: beside.Namespace, Name: beside.Name, Parent: beside.Parent, Generation: beside.Generation,
		Type: domain + string(f.Kind), Status: status, Reason: reason, Message: fmt.Sprintf("%s (last seen %s)", f.Text, f.At.UTC().Format(time.RFC3339)),
	}
}
