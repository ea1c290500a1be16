package compile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
)

// extensionTLS is the type of the extension of an XBackendDestination that says
// more of its TLS than the API has fields for (acceptance gateway 111). It is
// about every port of the destination.
const extensionTLS = "egret.dev/TLS:v1"

// Bounds of the extension.
const (
	maxCRLs = 16
	maxPins = 16
)

// tlsConfig is the extension's rawConfig (docs/tls.md).
type tlsConfig struct {
	// CRLRefs are certificate revocation lists.
	CRLRefs []crlRef `json:"crlRefs"`
	// CRLScope is Chain (the default), for which every authority of the chain
	// needs a list, or Leaf.
	CRLScope string `json:"crlScope"`
	// Pins are SHA-256 of public keys in base64.
	Pins []string `json:"pins"`
	// MinVersion is 1.2 (the default) or 1.3.
	MinVersion string `json:"minVersion"`
}

// crlRef refers to revocation lists in PEM, in a Secret also in DER.
type crlRef struct {
	Kind      string          `json:"kind"`
	Name      string          `json:"name"`
	Namespace *gwv1.Namespace `json:"namespace"`
	Key       string          `json:"key"` // default ca.crl
}

// harden compiles the extension for TLS, if the destination has one. Where it
// cannot be obeyed, the port is closed.
func (c *compiler) harden(d *v0alpha0.XBackendDestination, port *v0alpha0.Port, b *backend) {
	found := false
	for i := range d.Spec.Extensions {
		e := &d.Spec.Extensions[i]
		if e.Type != extensionTLS {
			continue
		}
		fail := func(format string, args ...any) {
			b.unable(500, reasonInvalid, "port %d: extension %s: %s", port.Number, e.Name, fmt.Sprintf(format, args...))
		}
		config, err := readTLS(e)
		switch {
		case found:
			fail("there is another one of type %s; keep one", extensionTLS)
		case err != nil:
			fail("rawConfig: %v", err)
		case b.plan.TLS == nil:
			fail("the port is spoken to without TLS; give it tls.mode Simple or Mutual, or leave it out of this destination")
		case b.plan.TLS.SkipVerify && len(config.CRLRefs) > 0:
			fail("a revocation list is of no use to a chain that insecureSkipVerify leaves unverified; remove one of them")
		default:
			c.applyTLS(d, port, b, e.Name, config)
		}
		found = true
	}
}

func readTLS(e *v0alpha0.Extension) (*tlsConfig, error) {
	config := &tlsConfig{}
	if e.RawConfig != nil && len(e.RawConfig.Raw) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(e.RawConfig.Raw))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(config)
		var mismatch *json.UnmarshalTypeError
		switch {
		case errors.As(err, &mismatch):
			return nil, fmt.Errorf("%s: it is a %s where a %s belongs", mismatch.Field, mismatch.Value, kindOf(mismatch.Type))
		case err != nil:
			return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	return config, config.check()
}

// kindOf is what JSON calls a type of the configuration.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "list"
	case reflect.Struct:
		return "object"
	}
	return t.Kind().String()
}

func (t *tlsConfig) check() error {
	switch {
	case len(t.CRLRefs)+len(t.Pins) == 0 && t.MinVersion == "":
		return errors.New("it asks for nothing; give it crlRefs, pins or minVersion")
	case len(t.CRLRefs) > maxCRLs:
		return fmt.Errorf("crlRefs: %d of them, at most %d are read", len(t.CRLRefs), maxCRLs)
	case len(t.Pins) > maxPins:
		return fmt.Errorf("pins: %d of them, at most %d are compared", len(t.Pins), maxPins)
	case !slices.Contains([]string{"", "1.2", "1.3"}, t.MinVersion):
		return fmt.Errorf("minVersion: %q is neither 1.2 nor 1.3", t.MinVersion)
	case !slices.Contains([]string{"", "Chain", "Leaf"}, t.CRLScope):
		return fmt.Errorf("crlScope: %q is neither Chain nor Leaf", t.CRLScope)
	case t.CRLScope != "" && len(t.CRLRefs) == 0:
		return errors.New("crlScope: there are no crlRefs that it could be about")
	}
	for i, p := range t.Pins {
		if sum, err := base64.StdEncoding.DecodeString(p); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("pins[%d]: %q is not the base64 of a SHA-256, which has 44 characters", i, p)
		}
	}
	for i, r := range t.CRLRefs {
		if r.Name == "" {
			return fmt.Errorf("crlRefs[%d]: it has no name", i)
		}
	}
	return nil
}

func (c *compiler) applyTLS(d *v0alpha0.XBackendDestination, port *v0alpha0.Port, b *backend, extension string, config *tlsConfig) {
	to := b.plan.TLS
	to.Pins = slices.Compact(slices.Sorted(slices.Values(config.Pins)))
	to.LeafCRL = config.CRLScope == "Leaf"
	if config.MinVersion == "1.3" {
		to.MinVersion = config.MinVersion
	}
	for _, ref := range config.CRLRefs {
		list, p := c.revocation(destinationRef(d.Namespace), ref)
		if p != nil {
			b.unable(500, p.reason, "port %d: extension %s: %s", port.Number, extension, p.message)
			continue
		}
		to.CRLs = append(to.CRLs, list)
	}
}

// revocation resolves a reference to revocation lists.
func (c *compiler) revocation(from referrer, ref crlRef) (string, *problem) {
	const invalid = "InvalidCRLRef"
	target := name{string(deref(ref.Namespace, gwv1.Namespace(from.namespace))), ref.Name}
	key := ref.Key
	if key == "" {
		key = "ca.crl"
	}
	if ref.Kind != "Secret" && ref.Kind != "ConfigMap" {
		return "", problemf(invalid, "A revocation list cannot be read from %s, kind %q; name a ConfigMap or a Secret.", target, ref.Kind)
	}
	if !c.granted(from, referent{"", []string{ref.Kind}, target.ns, target.name}) {
		return "", ungranted(ref.Kind, target, from)
	}
	var text []byte
	found := false
	if m := c.configMaps[target]; m != nil && ref.Kind == "ConfigMap" {
		text, found = []byte(m.Data[key]), true
	} else if s := c.index.secrets[target]; s != nil && ref.Kind == "Secret" {
		text, found = s.Data[key], true
	}
	if !found {
		return "", problemf(invalid, "%s %s not found; create it.", ref.Kind, target)
	}
	lists, err := revocations(text)
	if err != nil {
		return "", problemf(invalid, "%s %s: %s %v.", ref.Kind, target, key, err)
	}
	return c.keep(plan.SecretCRL, strings.ToLower(ref.Kind)+"/"+target.String()+"/"+key, map[string][]byte{"ca.crl": lists}), nil
}
