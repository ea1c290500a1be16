package engine

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/quota"
)

// Explanation says what would become of a request, without sending it and
// without taking anything from a limit.
type Explanation struct {
	Plan     string         `json:"plan"`
	Listener string         `json:"listener,omitempty"`
	Route    string         `json:"route,omitempty"` // namespace/name
	Rule     string         `json:"rule,omitempty"`
	Policy   *PolicyTold    `json:"policy,omitempty"`
	Limits   []LimitTold    `json:"limits,omitempty"`
	Targets  []TargetTold   `json:"targets,omitempty"`
	Timeouts *plan.Timeouts `json:"timeouts,omitempty"`
	Verdict  string         `json:"verdict"` // "forward", or why it would be refused
	Status   int            `json:"status,omitempty"`
	Listens  []string       `json:"listens,omitempty"` // when nothing matched: gateways and ports there are
}

// PolicyTold is the effective policy and what it made of the caller.
type PolicyTold struct {
	Auth           string   `json:"auth,omitempty"` // the AuthPolicy that won
	Authentication []string `json:"authentication,omitempty"`
	Subject        string   `json:"subject,omitempty"`
	User           string   `json:"user,omitempty"`
	Tier           string   `json:"tier,omitempty"`
	Headers        []string `json:"headers,omitempty"` // set for the backend
}

// LimitTold is one limit and what is left of it.
type LimitTold struct {
	Name    string `json:"name"`
	Source  string `json:"source"`
	Unit    string `json:"unit"` // tokens or requests
	Applies bool   `json:"applies"`
	Max     int64  `json:"max,omitempty"`
	Left    int64  `json:"left"`
	Window  string `json:"window,omitempty"`
	Reset   string `json:"reset,omitempty"`
}

// TargetTold is one backend that the request could go to.
type TargetTold struct {
	Backend    string   `json:"backend,omitempty"`
	Object     string   `json:"object,omitempty"`
	Address    []string `json:"address,omitempty"`
	Host       string   `json:"host,omitempty"`
	Path       string   `json:"path,omitempty"`
	Model      string   `json:"model,omitempty"` // whose calls alone go there; "" = all others, by weight
	Weight     int32    `json:"weight"`
	TLS        string   `json:"tls"`
	Credential string   `json:"credential"`
	Fault      string   `json:"fault,omitempty"`
}

// Explain follows a request as far as it can be followed without a body.
// identity, when set, stands in for what filter "identity" would export, and
// the AuthPolicy is not asked.
func (e *Engine) Explain(ctx context.Context, h Head, identity map[string]any) Explanation {
	x := e.exchange(h)
	out := Explanation{Plan: x.program.plan.Hash(), Verdict: "forward"}
	if r := x.locate(); r != nil {
		if r.Status == http.StatusNotFound {
			for _, p := range x.program.plan.Ports {
				out.Listens = append(out.Listens, p.Gateway+":"+strconv.Itoa(int(p.Number)))
			}
		}
		return out.refused(r)
	}
	out.Listener, out.Route, out.Rule = x.entry.listener, x.entry.rule.Route, x.entry.rule.Name
	out.Timeouts = &x.entry.rule.Timeouts
	var refusal *Refusal
	if p := x.entry.policy; p != nil {
		refusal = x.explainPolicy(ctx, p, identity, &out)
	}
	if refusal == nil {
		refusal = x.ownAnswer()
	}
	out.Targets = x.explainTargets() // where it would go, also when it may not
	if refusal != nil {
		return out.refused(refusal)
	}
	return out
}

func (out Explanation) refused(r *Refusal) Explanation {
	out.Verdict, out.Status = r.Code, r.Status
	if r.Reason != "" {
		out.Verdict += ": " + r.Reason
	}
	return out
}

func (x *Exchange) explainPolicy(ctx context.Context, p *policy, identity map[string]any, out *Explanation) *Refusal {
	out.Policy = &PolicyTold{}
	if f := p.plan.Fault; f != nil {
		return plain(f.Status, "policy_fault", f.Reason)
	}
	if a := p.plan.Auth; a != nil {
		out.Policy.Auth = a.Source
		for _, r := range a.Authentication {
			out.Policy.Authentication = append(out.Policy.Authentication, r.Name)
		}
		for _, r := range a.Headers {
			out.Policy.Headers = append(out.Policy.Headers, r.Key)
		}
	}
	x.claim(p)
	if identity != nil {
		x.prepare()
		x.input.Identity = identity
		x.know(identity)
	} else if r := x.authenticate(ctx, p); r != nil {
		return r
	}
	out.Policy.Subject, out.Policy.User, out.Policy.Tier = x.Record.Subject, x.Record.User, x.Record.Tier
	return x.explainLimits(ctx, p, out)
}

// explainLimits looks at every window without drawing from it.
func (x *Exchange) explainLimits(ctx context.Context, p *policy, out *Explanation) (full *Refusal) {
	for i := range p.limits {
		l := &p.limits[i]
		told := LimitTold{Name: l.plan.Name, Source: l.plan.Source, Unit: "requests", Applies: x.applies(l)}
		if l.tokens {
			told.Unit = "tokens"
		}
		if !told.Applies {
			out.Limits = append(out.Limits, told)
			continue
		}
		for k, r := range l.plan.Rates {
			b := quota.Bucket{Key: bucketKey(l.plan.ID, x.entry.rule.Route, l.rates[k], x.counters(l)), Max: r.Limit, Window: r.Window}
			told.Max, told.Window = r.Limit, r.Window.String()
			v, err := x.engine.deps.Limiter.Reserve(ctx, []quota.Bucket{b})
			if err == nil {
				told.Left, told.Reset = v.States[0].Left(), v.States[0].Reset.Round(time.Second).String()
				if !v.Allowed {
					full = plain(http.StatusTooManyRequests, "limited", "limit "+l.plan.Name+" of "+l.plan.Source+" is used up")
				}
			}
			out.Limits = append(out.Limits, told)
		}
	}
	return full
}

// explainTargets tells the rule's own targets, then those of models.
func (x *Exchange) explainTargets() (out []TargetTold) {
	for i := range x.entry.targets {
		out = append(out, x.explainTarget(&x.entry.targets[i]))
	}
	if x.entry.models == nil {
		return out
	}
	for i := range x.entry.models.list {
		m := &x.entry.models.list[i]
		if m.target == nil {
			continue
		}
		x.model = m
		told := x.explainTarget(m.target)
		told.Model, told.Weight = m.plan.Name, 0
		out = append(out, told)
	}
	x.model = nil
	return out
}

func (x *Exchange) explainTarget(t *target) TargetTold {
	told := TargetTold{Weight: t.plan.Weight, TLS: "none"}
	if f := t.fault(); f != nil {
		told.Fault = strconv.Itoa(f.Status) + ": " + f.Reason
	}
	if t.backend == nil {
		return told
	}
	x.target = t
	b := t.backend
	told.Backend, told.Object, told.Path = b.Name, b.Object, x.upstreamPath()
	_, told.Host = x.upstreamHeader(t, x.entry.rule.Timeouts.Request)
	if b.Host != "" {
		told.Address = append(told.Address, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	for _, e := range b.Endpoints {
		if e.Gateway != "" {
			told.Address = append(told.Address, "gateway "+e.Gateway+" port "+strconv.Itoa(int(e.Port)))
			continue
		}
		told.Address = append(told.Address, net.JoinHostPort(e.Address, strconv.Itoa(int(e.Port))))
	}
	if b.TLS != nil {
		told.TLS = "verified"
		if b.TLS.SkipVerify {
			told.TLS = "NOT verified"
		}
	}
	told.Credential = "the client's own"
	if x.auth.Consumed != nil || x.entry.policy != nil && x.entry.policy.auth != nil {
		told.Credential = "none (the client's is removed)"
		if b.KeepCredential {
			told.Credential = "the client's own, kept"
		}
	}
	for _, f := range x.auth.Headers {
		if strings.EqualFold(f.Name, "authorization") {
			told.Credential = "set by the AuthPolicy"
		}
	}
	if t.accounts != nil {
		told.Credential = "none of the backend's accounts is for this caller"
		if a := x.account(t.accounts); a != nil {
			told.Credential = "the platform's own: account " + a.Account.Name + " (" + string(a.Account.Scheme) + ")"
			if a.Account.Scheme == plan.SchemeNone {
				told.Credential = "none: that of account " + a.Account.Name + " is not to be had, and it fails open"
			}
		}
	}
	return told
}
