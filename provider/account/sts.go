package account

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// keys returns what the account signs with: the Secret's keys, or those of a
// role.
func (o *Office) keys(u *Use) (keys, error) {
	a, secret := u.Account, u.Secret
	var own keys
	if secret != nil {
		own = keys{string(secret.Item(a.ID)), string(secret.Item(a.Key)), string(secret.Item(a.Session))}
		if own.id == "" || own.secret == "" {
			return keys{}, fmt.Errorf("%w: %s has no items %s and %s", ErrUnavailable, a.Secret, a.ID, a.Key)
		}
	}
	if a.AWS.Role == "" && !a.AWS.Pod {
		return own, nil
	}
	g, err := o.get(u, func(ctx context.Context) (grant, error) {
		if a.AWS.Pod {
			return o.webIdentity(ctx, a)
		}
		return o.assume(ctx, a, own)
	})
	return g.keys, err
}

// stsHost is the regional host of the Security Token Service.
func stsHost(region string) string {
	host := "sts." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	return host
}

// assume asks for a role with keys (AWS STS AssumeRole).
func (o *Office) assume(ctx context.Context, a *plan.Account, own keys) (grant, error) {
	form := url.Values{"Action": {"AssumeRole"}, "Version": {stsVersion}, "RoleArn": {a.AWS.Role}, "RoleSessionName": {a.AWS.Session}}
	if a.AWS.ExternalID != "" {
		form.Set("ExternalId", a.AWS.ExternalID)
	}
	r := &Request{
		Method: http.MethodPost, Host: stsHost(a.AWS.Region), Path: "/", Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	sign(r, own, a.AWS.Region, "sts", o.opts.Now())
	return o.role(o.post(ctx, "https://"+r.Host+"/", form, r.Header))
}

// webIdentity asks for a role with the pod's token (AssumeRoleWithWebIdentity),
// which needs no signature.
func (o *Office) webIdentity(ctx context.Context, a *plan.Account) (grant, error) {
	token, err := o.identity("AWS_WEB_IDENTITY_TOKEN_FILE")
	if err != nil {
		return grant{}, err
	}
	role := a.AWS.Role
	if role == "" {
		if role = o.opts.Getenv("AWS_ROLE_ARN"); role == "" {
			return grant{}, errors.New("no role: neither aws.roleARN nor AWS_ROLE_ARN of the gateway is set")
		}
	}
	return o.role(o.post(ctx, "https://"+stsHost(a.AWS.Region)+"/", url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {stsVersion}, "RoleArn": {role}, "RoleSessionName": {a.AWS.Session}, "WebIdentityToken": {token},
	}, nil))
}

const stsVersion = "2011-06-15"

// role reads the keys in an answer of STS.
func (o *Office) role(body []byte, err error) (grant, error) {
	if err != nil {
		return grant{}, err
	}
	type credentials struct {
		ID      string    `xml:"AccessKeyId"`
		Secret  string    `xml:"SecretAccessKey"`
		Session string    `xml:"SessionToken"`
		Expires time.Time `xml:"Expiration"`
	}
	var in struct {
		Role credentials `xml:"AssumeRoleResult>Credentials"`
		Web  credentials `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if xml.Unmarshal(body, &in) != nil {
		return grant{}, errors.New("the answer of STS cannot be read")
	}
	c := in.Role
	if c.ID == "" {
		c = in.Web
	}
	if c.ID == "" || c.Secret == "" || c.Session == "" {
		return grant{}, errors.New("the answer of STS holds no keys")
	}
	return grant{keys: keys{c.ID, c.Secret, c.Session}, Expires: c.Expires}, nil
}
