package compile

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
)

// keep adds secret material to the plan and returns its name. A Secret that
// is used as two kinds is there twice, so whatever is no key pair has its kind
// behind the name. Items of one kind add up.
func (c *compiler) keep(kind plan.SecretKind, object string, items map[string][]byte) string {
	s := plan.Secret{Name: object, Kind: kind}
	if kind != plan.SecretTLS && strings.HasPrefix(object, "secret/") {
		s.Name += "/" + string(kind)
	}
	all := map[string][]byte{}
	for _, item := range c.secrets[s.Name].Data {
		all[item.Key] = item.Value
	}
	maps.Copy(all, items)
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		s.Data = append(s.Data, plan.Item{Key: key, Value: all[key]})
		for _, part := range [][]byte{[]byte(s.Name), []byte(key), all[key]} {
			digest := sha256.Sum256(part)
			sum.Write(digest[:])
		}
	}
	s.Digest = hex.EncodeToString(sum.Sum(nil)[:8])
	c.secrets[s.Name] = s
	return s.Name
}

// planSecrets returns the material that something in the plan names, and no
// more: what is not needed is not handed out.
func (c *compiler) planSecrets(p *plan.Plan) []plan.Secret {
	var names []string
	for _, port := range p.Ports {
		for _, l := range port.Listeners {
			if l.TLS != nil {
				names = append(names, l.TLS.Certificates...)
			}
		}
	}
	for i := range p.Backends {
		names = append(names, p.Backends[i].Secrets()...)
	}
	for _, pol := range p.Policies {
		names = append(names, pol.Auth.Secrets()...)
	}
	slices.Sort(names)
	var out []plan.Secret
	for _, n := range slices.Compact(names) {
		if s, kept := c.secrets[n]; kept {
			out = append(out, s)
		}
	}
	return out
}

// certificate resolves a reference to a key pair, returning its name in the plan.
func (c *compiler) certificate(from referrer, ref gwv1.SecretObjectReference) (string, *problem) {
	const invalid = string(gwv1.ListenerReasonInvalidCertificateRef)
	target := name{string(deref(ref.Namespace, gwv1.Namespace(from.namespace))), string(ref.Name)}
	if deref(ref.Group, "") != "" || deref(ref.Kind, "Secret") != "Secret" {
		return "", problemf(invalid, "A certificate cannot be read from %s %s; name a Secret.", deref(ref.Kind, ""), target)
	}
	if !c.granted(from, referent{"", []string{"Secret"}, target.ns, target.name}) {
		return "", ungranted("Secret", target, from)
	}
	secret := c.index.secrets[target]
	if secret == nil {
		return "", problemf(invalid, "Secret %s not found; create it.", target)
	}
	crt, key := secret.Data["tls.crt"], secret.Data["tls.key"]
	if _, err := tls.X509KeyPair(crt, key); err != nil {
		return "", problemf(invalid, "Secret %s holds no usable key pair in tls.crt and tls.key: %v.", target, err)
	}
	return c.keep(plan.SecretTLS, "secret/"+target.String(), map[string][]byte{"tls.crt": crt, "tls.key": key}), nil
}

// ungranted is why an object in another namespace may not be used.
func ungranted(kind string, target name, from referrer) *problem {
	return problemf(string(gwv1.RouteReasonRefNotPermitted),
		"%s %s is in another namespace, and no ReferenceGrant there lets %s in %s use it.", kind, target, from.kind, from.namespace)
}

// bundle resolves a reference to certificates that are trusted: ca.crt of a
// ConfigMap or Secret, or a Secret's tls.crt (acceptance gateway 88).
func (c *compiler) bundle(from referrer, ref gwv1.ObjectReference) (string, *problem) {
	const invalid = string(gwv1.BackendTLSPolicyReasonInvalidCACertificateRef)
	target := name{string(deref(ref.Namespace, gwv1.Namespace(from.namespace))), string(ref.Name)}
	kind := string(ref.Kind)
	if ref.Group != "" || (kind != "Secret" && kind != "ConfigMap") {
		return "", problemf(string(gwv1.BackendTLSPolicyReasonInvalidKind), "A CA bundle cannot be read from %s %s; name a ConfigMap or a Secret.", kind, target)
	}
	if !c.granted(from, referent{"", []string{kind}, target.ns, target.name}) {
		return "", ungranted(kind, target, from)
	}
	text, key, found := c.bundleBytes(kind, target)
	if !found {
		return "", problemf(invalid, "%s %s not found; create it.", kind, target)
	}
	good, err := certificates(text)
	if err != nil {
		return "", problemf(invalid, "%s %s: %s %v.", kind, target, key, err)
	}
	return c.keep(plan.SecretCA, strings.ToLower(kind)+"/"+target.String(), map[string][]byte{"ca.crt": good}), nil
}

func (c *compiler) bundleBytes(kind string, target name) (text []byte, key string, found bool) {
	key = "ca.crt"
	if kind == "ConfigMap" {
		m := c.configMaps[target]
		if m == nil {
			return nil, key, false
		}
		return []byte(m.Data[key]), key, true
	}
	s := c.index.secrets[target]
	if s == nil {
		return nil, key, false
	}
	if len(s.Data[key]) == 0 && len(s.Data["tls.crt"]) > 0 {
		key = "tls.crt"
	}
	return s.Data[key], key, true
}
