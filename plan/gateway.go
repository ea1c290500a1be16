package plan

import "slices"

// Gateways lists the Gateways that the plan has ports of, sorted.
func (p *Plan) Gateways() []string {
	var out []string
	for i := range p.Ports {
		out = append(out, p.Ports[i].Gateway)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// For returns the part of the plan that one Gateway needs and nothing else:
// its ports and, of rules, policies, backends and secrets, what these lead to.
// A data plane in a pod gets no more than that (acceptance gateway B-30).
func (p *Plan) For(gateway string) *Plan {
	out := &Plan{}
	rules, policies, backends, secrets := set{}, set{}, set{}, set{}
	for i := range p.Ports {
		if p.Ports[i].Gateway != gateway {
			continue
		}
		out.Ports = append(out.Ports, p.Ports[i])
		for _, l := range p.Ports[i].Listeners {
			if l.TLS != nil {
				secrets.add(l.TLS.Certificates...)
			}
			for _, v := range l.VHosts {
				for _, e := range v.Entries {
					rules.add(e.Rule)
					policies.add(e.Policy)
				}
			}
		}
	}
	for i := range p.Rules {
		if rules[p.Rules[i].Name] {
			out.Rules = append(out.Rules, p.Rules[i])
			for _, t := range p.Rules[i].Targets {
				backends.add(t.Backend)
			}
		}
	}
	for i := range p.Backends {
		if backends[p.Backends[i].Name] {
			out.Backends = append(out.Backends, p.Backends[i])
			secrets.add(p.Backends[i].TLS.Secrets()...)
		}
	}
	for i := range p.Policies {
		if policies[p.Policies[i].Name] {
			out.Policies = append(out.Policies, p.Policies[i])
			secrets.add(p.Policies[i].Auth.Secrets()...)
		}
	}
	for i := range p.Secrets {
		if secrets[p.Secrets[i].Name] {
			out.Secrets = append(out.Secrets, p.Secrets[i])
		}
	}
	return out
}

// Secrets names the plan Secrets that an AuthPolicy reads; none for nil.
func (a *Auth) Secrets() (names []string) {
	if a == nil {
		return nil
	}
	for _, step := range a.Authentication {
		if step.APIKey != nil {
			for _, k := range step.APIKey.Keys {
				names = append(names, k.Secret)
			}
		}
	}
	for _, step := range a.Metadata {
		names = append(names, step.HTTP.Secret)
	}
	return names
}

type set map[string]bool

func (s set) add(names ...string) {
	for _, n := range names {
		s[n] = true
	}
}
