package compile

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	creds "github.com/egret-gateway/egret/api/credential"
	"github.com/egret-gateway/egret/plan"
)

// Reasons of credentials that are not to be had, on XBackendDestinations.
const (
	reasonInvalidExtension = "InvalidExtension"
	reasonSecretNotFound   = "SecretNotFound"
	reasonInvalidSecret    = "InvalidSecret"
	reasonCleartext        = "CleartextCredential"
)

// maxAccounts bounds the injectors of a backend.
const maxAccounts = 32

// injector is an extension of the type, as far as it could be read.
type injector struct {
	name     string
	spec     *creds.Injector
	failOpen bool
	problem  *problem
}

// inject compiles a backend's credential injectors to accounts, in the order in
// which they are asked. One that cannot work leaves the backend closed or, when
// it fails open, sends nothing in its place: never what the client had
// (acceptance gateway 108).
func (c *compiler) inject(d *v0alpha0.XBackendDestination, b *backend) {
	var all []injector
	for i := range d.Spec.Extensions {
		e := &d.Spec.Extensions[i]
		if e.Type != creds.Type {
			continue
		}
		in := injector{name: e.Name, failOpen: creds.FailOpen(raw(e))}
		spec, err := creds.Read(raw(e))
		if err != nil {
			in.problem = problemf(reasonInvalidExtension, "extension %s: %v", e.Name, err)
			spec = &creds.Injector{}
		}
		in.spec = spec
		all = append(all, in)
	}
	slices.SortStableFunc(all, func(x, y injector) int { return cmp.Compare(x.spec.Priority, y.spec.Priority) })
	if len(all) > maxAccounts {
		b.unable(500, reasonInvalidExtension, "%d credential injectors are more than a backend may have, which is %d", len(all), maxAccounts)
		return
	}
	for i := range all {
		in := &all[i]
		a := plan.Account{Name: d.Name + "/" + in.name, Namespace: d.Namespace, When: in.spec.When, FailOpen: in.failOpen}
		if in.problem == nil {
			in.problem = c.account(d, b, in, &a)
		}
		if p := in.problem; p != nil {
			if !in.failOpen {
				b.unable(500, p.reason, "%s", p.message)
				continue
			}
			b.degraded = append(b.degraded, p)
			a = plan.Account{Name: a.Name, Namespace: a.Namespace, When: in.spec.When, FailOpen: true, Scheme: plan.SchemeNone}
			if p.reason == reasonInvalidExtension {
				a.When = "" // which may not even be an expression
			}
		}
		b.plan.Accounts = append(b.plan.Accounts, a)
	}
}

func raw(e *v0alpha0.Extension) []byte {
	if e.RawConfig == nil || len(e.RawConfig.Raw) == 0 {
		return []byte("{}")
	}
	return e.RawConfig.Raw
}

// account fills in what is used of an injector.
func (c *compiler) account(d *v0alpha0.XBackendDestination, b *backend, in *injector, a *plan.Account) *problem {
	spec := in.spec
	invalid := func(field, format string, args ...any) *problem {
		return problemf(reasonInvalidExtension, "extension %s: rawConfig.%s: %s", in.name, field, fmt.Sprintf(format, args...))
	}
	if spec.When != "" {
		if err := c.check.chooses(spec.When); err != nil {
			return invalid("when", "%v", err)
		}
	}
	for i, h := range spec.Headers {
		if plan.Confidential(h.Name) {
			return invalid(fmt.Sprintf("headers[%d].name", i), "%s holds a credential; that belongs into a Secret", h.Name)
		}
		a.Headers = append(a.Headers, plan.Header{Name: strings.ToLower(h.Name), Value: h.Value})
	}
	if b.plan.TLS == nil && !spec.AllowCleartext {
		return problemf(reasonCleartext,
			"extension %s: the credential would travel in the clear; give the port a tls, or say allowCleartext: true", in.name)
	}
	shown(spec, a)
	if spec.Pod() {
		if b.plan.TLS == nil || b.plan.TLS.SkipVerify {
			return invalid(spec.Block()+".identity", "the gateway's own identity is shown over TLS only, to servers that are verified")
		}
		if domains := lentTo(spec.Scheme); b.plan.Host == "" || !slices.ContainsFunc(domains, func(d string) bool { return strings.HasSuffix(b.plan.Host, d) }) {
			return invalid(spec.Block()+".identity", "the gateway's own identity is shown to hosts under %s only, of a destination of type Fqdn", strings.Join(domains, ", "))
		}
		return nil
	}
	return c.secretOf(d, in, a)
}

// lentTo are the domains under which only a cloud's own services are; under
// azure.com, say, are its customers' machines too. The gateway's identity is
// worth as much as all that it may do, so nobody else gets to see it. What AWS
// is shown is signed for one host, and of no use to another.
func lentTo(s creds.Scheme) []string {
	switch s {
	case creds.Google:
		return []string{".googleapis.com"}
	case creds.Entra:
		return []string{
			".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".models.ai.azure.com",
			".openai.azure.us", ".cognitiveservices.azure.us", ".openai.azure.cn", ".cognitiveservices.azure.cn",
		}
	}
	return []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws"}
}

// shown says how the credential is made and where it goes.
func shown(spec *creds.Injector, a *plan.Account) {
	a.Field, a.Prefix = "Authorization", "Bearer "
	switch spec.Scheme {
	case creds.Bearer:
		a.Scheme = plan.SchemeHeader
	case creds.Named:
		a.Scheme, a.Field, a.Prefix = plan.SchemeHeader, spec.Header.Name, spec.Header.Prefix
	case creds.Basic:
		a.Scheme, a.Prefix = plan.SchemeHeader, "Basic "
	case creds.ByURL:
		a.Scheme, a.Field, a.Prefix = plan.SchemeQuery, spec.Query.Name, ""
	case creds.SigV4:
		w := spec.AWS
		a.Scheme, a.Field, a.Prefix = plan.SchemeAWS, "", ""
		a.AWS = &plan.AWS{Region: w.Region, Service: w.Service, Role: w.RoleARN, ExternalID: w.ExternalID, Pod: spec.Pod()}
		if w.RoleARN != "" || spec.Pod() {
			a.AWS.Session = w.SessionName
		}
	case creds.Google:
		a.Scheme, a.Token = plan.SchemeGCP, &plan.Token{Scopes: spec.GCP.Scopes, Pod: spec.Pod()}
		if len(a.Token.Scopes) == 0 {
			a.Token.Scopes = []string{"https://www.googleapis.com/auth/cloud-platform"}
		}
	case creds.Entra:
		host, scope, _ := creds.Entrance(spec.Azure.Cloud)
		if spec.Azure.Scope != "" {
			scope = spec.Azure.Scope
		}
		a.Scheme = plan.SchemeAzure
		a.Token = &plan.Token{URL: "https://" + host + "/" + spec.Azure.TenantID, Client: spec.Azure.ClientID, Scopes: []string{scope}, Pod: spec.Pod()}
	case creds.OAuth:
		o := spec.OAuth2
		a.Scheme = plan.SchemeOAuth2
		a.Token = &plan.Token{URL: o.TokenURL, Client: o.ClientID, Scopes: o.Scopes, Audience: o.Audience, InBody: o.Authentication == "Body"}
	}
}

// secretOf resolves the reference to the Secret, and keeps of it what is used.
func (c *compiler) secretOf(d *v0alpha0.XBackendDestination, in *injector, a *plan.Account) *problem {
	ref := in.spec.SecretRef
	target := name{cmp.Or(ref.Namespace, d.Namespace), ref.Name}
	at := "extension " + in.name + ": Secret " + target.String()
	from := destinationRef(d.Namespace)
	if !c.granted(from, referent{"", []string{"Secret"}, target.ns, target.name}) {
		return problemf("RefNotPermitted", "%s is in another namespace, and no ReferenceGrant there lets %s in %s use it", at, from.kind, d.Namespace)
	}
	secret := c.index.secrets[target]
	if secret == nil {
		return problemf(reasonSecretNotFound, "%s not found; create it", at)
	}
	a.Key, a.ID = ref.Key, ref.IDKey
	switch in.spec.Scheme {
	case creds.Basic:
		a.Key, a.ID = cmp.Or(a.Key, "password"), cmp.Or(a.ID, "username")
	case creds.SigV4:
		a.Key, a.ID = cmp.Or(a.Key, "secretAccessKey"), cmp.Or(a.ID, "accessKeyID")
		if session := cmp.Or(ref.SessionKey, "sessionToken"); len(secret.Data[session]) > 0 {
			a.Session = session
		}
	}
	if a.Key == "" {
		if len(secret.Data) != 1 {
			return problemf(reasonInvalidSecret, "%s has %d keys; say which one counts as secretRef.key", at, len(secret.Data))
		}
		for only := range secret.Data {
			a.Key = only
		}
	}
	items, err := itemsOf(a, secret.Data)
	if err == nil && in.spec.Scheme == creds.Basic {
		items, err = pairOf(a, items)
	}
	if err != nil {
		return problemf(reasonInvalidSecret, "%s %v", at, err)
	}
	if p := c.asked(d.Namespace, in, a, items); p != nil {
		return p
	}
	a.Secret = c.keep(plan.SecretOpaque, "secret/"+target.String(), items)
	return nil
}

// asked holds the token endpoint that a user chose, by tokenURL or in a service
// account's key, to what the operator says about the namespace. Those that follow
// from a cloud's name are the cloud's own.
func (c *compiler) asked(namespace string, in *injector, a *plan.Account, items map[string][]byte) *problem {
	var address string
	switch a.Scheme {
	case plan.SchemeOAuth2:
		address = a.Token.URL
	case plan.SchemeGCP:
		if key, err := creds.ServiceAccount(items[a.Key]); err == nil && key.URL != creds.GoogleTokens {
			address = key.URL
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil // none, or refused where it was read
	}
	named := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if svc, ns, _ := strings.Cut(named, "."); c.services[name{ns, svc}] != nil { // planes know it in short (provider.Dialer)
		named += "." + clusterDomain
	}
	host, p := c.held(namespace, named)
	if p != nil {
		return problemf(p.reason, "extension %s: token endpoint %s", in.name, p.message)
	}
	if !plan.LocalName(host) && c.wayOut(namespace).Proxied(host) {
		return problemf(reasonHostNotAllowed, "extension %s: token endpoint %s: the operator has this name reached by a proxy, "+
			"and tokens are fetched without one; it needs to be under noProxy", in.name, host)
	}
	return nil
}

// itemsOf are the items that an account refers to, as they are sent.
func itemsOf(a *plan.Account, data map[string][]byte) (map[string][]byte, error) {
	items := map[string][]byte{}
	for _, key := range []string{a.Key, a.ID, a.Session} {
		if key == "" {
			continue
		}
		item, there := data[key]
		if !there {
			return nil, fmt.Errorf("has nothing under %q", key)
		}
		if a.Scheme == plan.SchemeGCP && key == a.Key { // a document, of which nothing is sent
			if _, err := creds.ServiceAccount(item); err != nil {
				return nil, fmt.Errorf("does not work: what is under %q %w", key, err)
			}
			items[key] = item
			continue
		}
		v, err := creds.Value(item)
		if err != nil {
			return nil, fmt.Errorf("does not work: what is under %q %w", key, err)
		}
		items[key] = []byte(v)
	}
	return items, nil
}

// pairOf makes one item of user name and password, encoded as it is sent
// (RFC 7617).
func pairOf(a *plan.Account, items map[string][]byte) (map[string][]byte, error) {
	user, password := string(items[a.ID]), string(items[a.Key])
	if strings.Contains(user, ":") {
		return nil, fmt.Errorf("has a user name with a colon, which RFC 7617 does not allow")
	}
	a.Key, a.ID = "basic/"+a.ID+"/"+a.Key, ""
	return map[string][]byte{a.Key: []byte(base64.StdEncoding.EncodeToString([]byte(user + ":" + password)))}, nil
}
