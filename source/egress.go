package source

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// EgressConfigMap is the ConfigMap by which an operator says where the
// namespaces' backends may lead, under key EgressKey. It is read in the
// controller's namespace, and with files in one of EgressNamespaces.
const (
	EgressConfigMap = "egret-egress"
	EgressKey       = "egress.yaml"
)

// EgressNamespaces are those in which files have the operator's object. Of two
// the first counts.
var EgressNamespaces = []string{"egret-system", "ai-gateway-system"}

// Bounds of an Egress.
const (
	maxEgressEntries = 256
	maxEgressList    = 1024
)

// Egress is what an operator says about the way out (docs/addresses.md). The
// zero value leaves the built-in rules alone.
type Egress struct {
	// Namespaces say where backends of namespaces may lead. All entries that
	// are about a namespace add up.
	Namespaces []EgressRule `json:"namespaces,omitempty"`
	// Cluster are ranges of the cluster's own, where no name from outside may
	// lead.
	Cluster EgressCluster `json:"cluster,omitempty"`
}

// EgressRule is about the backends of some namespaces.
type EgressRule struct {
	// Name is the namespace's. Name and Selector exclude each other; without
	// either the rule is about all namespaces.
	Name     string                `json:"name,omitempty"`
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Hosts are names: "api.example.com", "*.example.com" for all below
	// example.com, or "*".
	Hosts EgressList `json:"hosts,omitempty"`
	// Addresses are CIDRs.
	Addresses EgressList `json:"addresses,omitempty"`
	// Proxy is how names from outside are reached; nil is directly. Of several
	// rules the first that names one decides.
	Proxy *EgressProxy `json:"proxy,omitempty"`
}

// EgressList permits what Allow has, all when it is empty, less what Deny has.
type EgressList struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// EgressCluster are the ranges (CIDRs) of a cluster. What the controller may
// read of them it finds by itself.
type EgressCluster struct {
	Pods     []string `json:"pods,omitempty"`
	Services []string `json:"services,omitempty"`
	Nodes    []string `json:"nodes,omitempty"`
	// Allow are exceptions: they may be dialled in spite of the others.
	Allow []string `json:"allow,omitempty"`
}

// EgressProxy is an HTTP proxy that is asked to CONNECT.
type EgressProxy struct {
	// URL is http://host:port.
	URL string `json:"url"`
	// SecretRef is a Secret beside the ConfigMap with keys username and
	// password (Basic, RFC 7617).
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
	// NoProxy are names, as in Hosts, and CIDRs of literal addresses, that are
	// dialled directly.
	NoProxy []string `json:"noProxy,omitempty"`
}

// FindEgress returns the operator's object of the first of the namespaces that
// has one; nil when none does. An error says what is wrong with it, for its
// author.
func FindEgress(s *Snapshot, namespaces ...string) (*Egress, *corev1.ConfigMap, error) {
	for _, ns := range namespaces {
		for _, m := range s.ConfigMaps {
			if m.Namespace == ns && m.Name == EgressConfigMap {
				e, err := ParseEgress(m)
				return e, m, err
			}
		}
	}
	return nil, nil, nil
}

// ParseEgress reads the operator's object, strictly: a field that is
// misspelt would be a rule that does not apply.
func ParseEgress(m *corev1.ConfigMap) (*Egress, error) {
	e, err := parseEgress(m)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", m.Namespace, m.Name, err)
	}
	return e, nil
}

func parseEgress(m *corev1.ConfigMap) (*Egress, error) {
	text, ok := m.Data[EgressKey]
	if !ok {
		return nil, fmt.Errorf("it has no key %s; put the rules under it, and above 16 KiB give the ConfigMap label egret.dev/egress: \"true\"", EgressKey)
	}
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EgressKey, err)
	}
	e := &Egress{}
	strict, err := kjson.UnmarshalStrict(data, e)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err == nil {
		err = e.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EgressKey, err)
	}
	return e, nil
}

func (e *Egress) check() error {
	var errs []error
	if len(e.Namespaces) > maxEgressEntries {
		errs = append(errs, fmt.Errorf("namespaces has %d entries; at most %d are read", len(e.Namespaces), maxEgressEntries))
	}
	for i := range e.Namespaces {
		if err := e.Namespaces[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("namespaces[%d]: %w", i, err))
		}
	}
	c := &e.Cluster
	errs = append(errs, checkList("cluster.pods", c.Pods, checkCIDR), checkList("cluster.services", c.Services, checkCIDR),
		checkList("cluster.nodes", c.Nodes, checkCIDR), checkList("cluster.allow", c.Allow, checkCIDR))
	return errors.Join(errs...)
}

func (r *EgressRule) check() error {
	var errs []error
	if r.Name != "" && r.Selector != nil {
		errs = append(errs, errors.New("name and selector exclude each other; keep one"))
	}
	if _, err := metav1.LabelSelectorAsSelector(r.Selector); err != nil {
		errs = append(errs, fmt.Errorf("selector: %w", err))
	}
	errs = append(errs,
		checkList("hosts.allow", r.Hosts.Allow, checkHost), checkList("hosts.deny", r.Hosts.Deny, checkHost),
		checkList("addresses.allow", r.Addresses.Allow, checkCIDR), checkList("addresses.deny", r.Addresses.Deny, checkCIDR))
	if p := r.Proxy; p != nil {
		if _, _, err := p.Address(); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, checkList("proxy.noProxy", p.NoProxy, func(v string) error {
			if strings.Contains(v, "/") {
				return checkCIDR(v)
			}
			return checkHost(v)
		}))
	}
	return errors.Join(errs...)
}

// checkList refuses a list that is there and empty, too: whoever writes
// "allow: []" may mean all or nothing.
func checkList(field string, list []string, check func(string) error) error {
	switch {
	case list != nil && len(list) == 0:
		return fmt.Errorf("%s is empty; leave it out, or say what it is to hold", field)
	case len(list) > maxEgressList:
		return fmt.Errorf("%s has %d entries; at most %d are read", field, len(list), maxEgressList)
	}
	for _, v := range list {
		if err := check(v); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}

func checkCIDR(v string) error {
	if p, err := netip.ParsePrefix(v); err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("%q is no range of addresses; write it as 192.0.2.0/24 or 2001:db8::/32, and one address as 192.0.2.7/32", v)
	}
	return nil
}

func checkHost(v string) error {
	name := strings.TrimPrefix(v, "*.")
	if v == "*" {
		return nil
	}
	if _, err := netip.ParseAddr(v); err == nil {
		return nil
	}
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if name == "" || strings.HasPrefix(name, ".") || strings.Contains(name, "..") || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%q is no name; write api.example.com, or *.example.com for all names below it, or *", v)
	}
	return nil
}

// Address is the proxy's host and port.
func (p *EgressProxy) Address() (host string, port int32, err error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", 0, fmt.Errorf("proxy.url %q is not of the form http://host:port; credentials belong into secretRef", redactedURL(p.URL))
	}
	number, err := parsePort(u.Port())
	if err != nil {
		return "", 0, fmt.Errorf("proxy.url: %w", err)
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), number, nil
}

func redactedURL(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

func parsePort(text string) (int32, error) {
	p, err := netip.ParseAddrPort("127.0.0.1:" + text)
	if err != nil || p.Port() == 0 {
		return 0, fmt.Errorf("port %q is not between 1 and 65535", text)
	}
	return int32(p.Port()), nil
}

// WayOut is all that an operator says about the backends of one namespace. A
// nil WayOut refuses nothing.
type WayOut struct {
	Hosts, Addresses EgressList
	Proxy            *EgressProxy
}

// Of adds up what is said about a namespace with these labels.
func (e *Egress) Of(namespace string, of map[string]string) *WayOut {
	if e == nil {
		return nil
	}
	out, said := &WayOut{}, false
	for i := range e.Namespaces {
		r := &e.Namespaces[i]
		if !r.about(namespace, of) {
			continue
		}
		said = true
		out.Hosts, out.Addresses = out.Hosts.with(r.Hosts), out.Addresses.with(r.Addresses)
		if out.Proxy == nil {
			out.Proxy = r.Proxy
		}
	}
	if !said {
		return nil
	}
	return out
}

func (r *EgressRule) about(namespace string, of map[string]string) bool {
	if r.Selector == nil {
		return r.Name == "" || r.Name == namespace
	}
	s, err := metav1.LabelSelectorAsSelector(r.Selector)
	if err != nil {
		return true // not reached: it was checked
	}
	known := labels.Set{corev1.LabelMetadataName: namespace}
	for k, v := range of {
		known[k] = v
	}
	return s.Matches(known)
}

// Inside reports whether the operator says that an address is the cluster's own,
// and by which range.
func (e *Egress) Inside(a netip.Addr) (bool, string) {
	if e == nil || within(e.Cluster.Allow, a) {
		return false, ""
	}
	for _, text := range slices.Concat(e.Cluster.Pods, e.Cluster.Services, e.Cluster.Nodes) {
		if within([]string{text}, a) {
			return true, text
		}
	}
	return false, ""
}

func (l EgressList) with(o EgressList) EgressList {
	return EgressList{Allow: slices.Concat(l.Allow, o.Allow), Deny: slices.Concat(l.Deny, o.Deny)}
}

// Name says why a name from outside may not be used, "" when it may. Denied
// names of the cluster are refused too, but no list of what is allowed is
// about them.
func (w *WayOut) Name(host string, local bool) string {
	switch {
	case w == nil:
	case matchesHost(w.Hosts.Deny, host):
		return "the operator denies this name to the namespace"
	case !local && len(w.Hosts.Allow) > 0 && !matchesHost(w.Hosts.Allow, host):
		return "it is none of the names that the operator allows to the namespace"
	}
	return ""
}

// Literal is Name for an address that stands in place of a name. A list of
// names that are allowed is met by one of addresses as well.
func (w *WayOut) Literal(a netip.Addr) string {
	if w == nil {
		return ""
	}
	listed := within(w.Addresses.Allow, a)
	switch {
	case matchesHost(w.Hosts.Deny, a.String()) || within(w.Addresses.Deny, a):
		return "the operator denies this address to the namespace"
	case listed || matchesHost(w.Hosts.Allow, a.String()) && len(w.Addresses.Allow) == 0:
		return ""
	case len(w.Addresses.Allow) > 0 || len(w.Hosts.Allow) > 0:
		return "it is none of the names and addresses that the operator allows to the namespace"
	}
	return ""
}

// Proxied reports whether a host from outside is reached by the proxy.
func (w *WayOut) Proxied(host string) bool {
	if w == nil || w.Proxy == nil {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil && within(w.Proxy.NoProxy, a) {
		return false
	}
	return !matchesHost(w.Proxy.NoProxy, host)
}

// matchesHost reports whether a pattern has a name. "*.example.com" has all
// names below example.com, and not that itself.
func matchesHost(patterns []string, host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.ToLower(strings.TrimSuffix(p, "."))
		if suffix, wild := strings.CutPrefix(p, "*."); wild {
			return strings.HasSuffix(host, "."+suffix)
		}
		if a, err := netip.ParseAddr(p); err == nil {
			p = a.Unmap().String()
		}
		return p == "*" || p == host
	})
}

// within passes over what is no range.
func within(ranges []string, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && p.Masked().Contains(a.Unmap())
	})
}
