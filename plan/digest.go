package plan

// Digests says for every entry of a port what decides about it: the digest of
// the entry, its rule, its policy and its backends, keyed by
// "<listener>/<domain>/<entry id>". Two plans that treat an entry alike have
// one digest for it, whatever else they differ in, so that a router may name
// an entry of an earlier plan.
func (p *Plan) Digests(port *Port) map[string]string {
	rules, backends := make(map[string]*Rule, len(p.Rules)), make(map[string]string, len(p.Backends))
	for i := range p.Rules {
		rules[p.Rules[i].Name] = &p.Rules[i]
	}
	for i := range p.Backends {
		backends[p.Backends[i].Name] = Digest(p.Backends[i].still())
	}
	secrets := make(map[string]string, len(p.Secrets))
	for i := range p.Secrets {
		secrets[p.Secrets[i].Name] = p.Secrets[i].Digest
	}
	policies := make(map[string][]string, len(p.Policies))
	for i := range p.Policies {
		parts := []string{p.Policies[i].Name}
		for _, name := range p.Policies[i].Auth.Secrets() {
			parts = append(parts, secrets[name])
		}
		policies[p.Policies[i].Name] = parts
	}
	done := map[string]string{} // by rule and policy
	out := map[string]string{}
	for _, l := range port.Listeners {
		for _, v := range l.VHosts {
			for i := range v.Entries {
				e := &v.Entries[i]
				key := e.Rule + "\x00" + e.Policy
				digest, ok := done[key]
				if !ok {
					digest = Digest(decides{rules[e.Rule], policies[e.Policy], targets(rules[e.Rule], backends)})
					done[key] = digest
				}
				out[EntryName(l.Name, v.Domain, e.ID)] = Digest([]string{digest, port.Gateway, l.Name, v.Domain, e.ID})
			}
		}
	}
	return out
}

// EntryName is what a router calls an entry by.
func EntryName(listener, domain, id string) string { return listener + "/" + domain + "/" + id }

type decides struct {
	Rule     *Rule
	Policy   []string
	Backends []string
}

func targets(r *Rule, backends map[string]string) (out []string) {
	for _, t := range r.Leads() {
		out = append(out, backends[t.Backend])
	}
	return out
}

// still is the backend without its endpoints, which come and go and decide
// nothing about a request.
func (b Backend) still() Backend {
	b.Endpoints = nil
	return b
}
