package credential

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	kjson "sigs.k8s.io/json"
)

// Error is what is wrong with one field.
type Error struct {
	Field string // as written in rawConfig, such as "aws.region"; "" = all of it
	Why   string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field == "" {
		return "rawConfig: " + e.Why
	}
	return "rawConfig." + e.Field + ": " + e.Why
}

// Most bytes of a rawConfig, and items of its lists.
const (
	mostBytes = 16 << 10
	mostItems = 16
)

// Read reads a rawConfig and fills in what it leaves out. Fields that the
// schema does not have, or that stand twice, are errors.
func Read(raw []byte) (*Injector, error) {
	if len(raw) > mostBytes {
		return nil, &Error{"", fmt.Sprintf("is longer than %d bytes", mostBytes)}
	}
	out := &Injector{}
	strict, err := kjson.UnmarshalStrict(raw, out)
	if err != nil {
		return nil, badShape(err)
	}
	if len(strict) > 0 {
		field, why := spelled(strict[0].Error())
		return nil, &Error{field, why}
	}
	if err := out.settle(); err != nil {
		return nil, err
	}
	return out, nil
}

// FailOpen is what a rawConfig says of failOpen, as far as it can be read. What
// is nearly so called says nothing.
func FailOpen(raw []byte) bool {
	var config struct {
		FailOpen bool `json:"failOpen"`
	}
	return kjson.UnmarshalCaseSensitivePreserveInts(raw, &config) == nil && config.FailOpen
}

func badShape(err error) *Error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return &Error{typ.Field, "must not be a JSON " + typ.Value}
	}
	return &Error{"", "is not the JSON object that it should be"}
}

// spelled takes apart what the decoder says of a field: unknown field "a.b".
func spelled(message string) (field, why string) {
	why, field, ok := strings.Cut(message, ` "`)
	if !ok {
		return "", message
	}
	return strings.TrimSuffix(field, `"`), why
}

// settle checks what the types cannot say, and fills in the defaults.
func (in *Injector) settle() error {
	for _, check := range []func() *Error{in.phase, in.secret, in.scheme, in.header, in.cloud, in.oauth2, in.beside} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (in *Injector) phase() *Error {
	if in.Phase != "" && in.Phase != "request-headers" {
		return &Error{"phase", fmt.Sprintf("%q is none; write request-headers", in.Phase)}
	}
	in.Phase = "request-headers"
	return nil
}

func (in *Injector) secret() *Error {
	if in.Config != nil && in.Config.SecretRef != nil {
		if in.SecretRef != nil {
			return &Error{"config.secretRef", "stands beside secretRef; write one of them"}
		}
		in.SecretRef = in.Config.SecretRef
	}
	in.Config = nil
	if in.SecretRef != nil && in.SecretRef.Name == "" {
		return &Error{"secretRef.name", "is missing"}
	}
	return nil
}

// scheme follows from the block that is there; of others there may be none.
func (in *Injector) scheme() *Error {
	blocks := []struct {
		name   string
		there  bool
		scheme Scheme
	}{
		{"header", in.Header != nil, Named}, {"query", in.Query != nil, ByURL}, {"aws", in.AWS != nil, SigV4},
		{"gcp", in.GCP != nil, Google}, {"azure", in.Azure != nil, Entra}, {"oauth2", in.OAuth2 != nil, OAuth},
	}
	if in.Scheme == "" {
		in.Scheme = Bearer
		for _, b := range blocks {
			if b.there {
				in.Scheme = b.scheme
				break
			}
		}
	}
	known := in.Scheme == Bearer || in.Scheme == Basic
	for _, b := range blocks {
		known = known || b.scheme == in.Scheme
		switch {
		case b.there && b.scheme != in.Scheme:
			return &Error{b.name, fmt.Sprintf("does not go with scheme %s", in.Scheme)}
		case !b.there && b.scheme == in.Scheme && b.name != "gcp":
			return &Error{b.name, fmt.Sprintf("is missing; scheme %s needs it", in.Scheme)}
		}
	}
	if !known {
		return &Error{"scheme", fmt.Sprintf("%q is none of Bearer, Header, Basic, Query, AWSSigV4, GCP, AzureEntraID, OAuth2", in.Scheme)}
	}
	if in.Scheme == Google && in.GCP == nil {
		in.GCP = &GCP{}
	}
	switch who := in.identity(); {
	case who != FromSecret && who != FromPod:
		return &Error{in.Block() + ".identity", fmt.Sprintf("%q is none of Secret, Pod", who)}
	case who == FromSecret && in.SecretRef == nil:
		return &Error{"secretRef", "is missing"}
	case who == FromPod && in.SecretRef != nil:
		return &Error{"secretRef", "does not go with identity Pod"}
	}
	return nil
}

// Pod reports whether the gateway's own identity is used.
func (in *Injector) Pod() bool { return in.identity() == FromPod }

// Block is the name of the block that the scheme has, "" when it has none.
func (in *Injector) Block() string {
	return map[Scheme]string{Named: "header", ByURL: "query", SigV4: "aws", Google: "gcp", Entra: "azure", OAuth: "oauth2"}[in.Scheme]
}

func (in *Injector) identity() Identity {
	var who Identity
	switch {
	case in.AWS != nil:
		who = in.AWS.Identity
	case in.GCP != nil:
		who = in.GCP.Identity
	case in.Azure != nil:
		who = in.Azure.Identity
	}
	if who == "" {
		return FromSecret
	}
	return who
}

var (
	token     = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$") // RFC 9110 5.6.2
	parameter = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)
	region    = regexp.MustCompile(`^[a-z]{2}(-[a-z]{1,12}){1,3}-[0-9]{1,2}$`)
	service   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	role      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}$`)
	session   = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	external  = regexp.MustCompile(`^[\w+=,.@:/-]{2,512}$`)
	directory = regexp.MustCompile(`^[0-9A-Za-z.-]{1,253}$`)
)

func (in *Injector) header() *Error {
	switch {
	case in.Header != nil:
		if !token.MatchString(in.Header.Name) {
			return &Error{"header.name", fmt.Sprintf("%q is no name of a header field", in.Header.Name)}
		}
		if reserved(in.Header.Name) {
			return &Error{"header.name", in.Header.Name + " is the gateway's own to set"}
		}
		if !visible(in.Header.Prefix) {
			return &Error{"header.prefix", "has characters that no header field may hold"}
		}
	case in.Query != nil && !parameter.MatchString(in.Query.Name):
		return &Error{"query.name", fmt.Sprintf("%q needs escapes or is empty; write letters, digits, and -._~", in.Query.Name)}
	}
	return nil
}

func (in *Injector) cloud() *Error {
	if a := in.AWS; a != nil {
		if a.Service == "" {
			a.Service = "bedrock"
		}
		if a.SessionName == "" {
			a.SessionName = "egret"
		}
		for _, f := range []struct {
			field, value string
			must         *regexp.Regexp
			want         string
		}{
			{"region", a.Region, region, "a region such as us-east-1"}, {"service", a.Service, service, "a service such as bedrock"},
			{"roleARN", a.RoleARN, role, "arn:aws:iam::<account>:role/<name>"}, {"sessionName", a.SessionName, session, "2 to 64 letters, digits and +=,.@-"},
			{"externalID", a.ExternalID, external, "2 to 512 letters, digits and +=,.@:/-"},
		} {
			if !f.must.MatchString(f.value) && (f.value != "" || f.field == "region") {
				return &Error{"aws." + f.field, fmt.Sprintf("%q is not %s", f.value, f.want)}
			}
		}
	}
	if z := in.Azure; z != nil {
		if z.Cloud == "" {
			z.Cloud = "Public"
		}
		if _, _, ok := Entrance(z.Cloud); !ok {
			return &Error{"azure.cloud", fmt.Sprintf("%q is none of Public, USGovernment, China", z.Cloud)}
		}
		for _, f := range []struct{ field, value string }{{"tenantID", z.TenantID}, {"clientID", z.ClientID}} {
			if f.value == "" && !in.Pod() {
				return &Error{"azure." + f.field, "is missing"}
			}
			if f.value != "" && !directory.MatchString(f.value) {
				return &Error{"azure." + f.field, fmt.Sprintf("%q is none", f.value)}
			}
		}
	}
	return nil
}

// Entrance is the host that gives out tokens in one of Azure's clouds, and the
// scope of its AI services.
func Entrance(cloud string) (host, scope string, ok bool) {
	switch cloud {
	case "Public":
		return "login.microsoftonline.com", "https://cognitiveservices.azure.com/.default", true
	case "USGovernment":
		return "login.microsoftonline.us", "https://cognitiveservices.azure.us/.default", true
	case "China":
		return "login.partner.microsoftonline.cn", "https://cognitiveservices.azure.cn/.default", true
	}
	return "", "", false
}

func (in *Injector) oauth2() *Error {
	o := in.OAuth2
	if o == nil {
		return nil
	}
	if !endpoint(o.TokenURL) {
		return &Error{"oauth2.tokenURL", "must be an https address without user and fragment, and not under .invalid"}
	}
	if o.Authentication == "" {
		o.Authentication = "Basic"
	}
	if o.Authentication != "Basic" && o.Authentication != "Body" {
		return &Error{"oauth2.authentication", fmt.Sprintf("%q is none of Basic, Body", o.Authentication)}
	}
	if (o.ClientID == "") == (in.SecretRef.IDKey == "") {
		return &Error{"oauth2.clientID", "write it, or the Secret's key that holds it as secretRef.idKey, and not both"}
	}
	return nil
}

// endpoint reports whether an address can be a token endpoint's. Names under
// ".invalid" exist nowhere (RFC 6761 6.4); planes keep names of their own there.
func endpoint(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), ".invalid")
}
