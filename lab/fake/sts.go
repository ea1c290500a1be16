package fake

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const stsSpace = "https://sts.amazonaws.com/doc/2011-06-15/"

func (w *World) sts() *Vendor {
	v := w.vendor("sts", stsError, "sts.amazonaws.com", "sts."+region+".amazonaws.com")
	v.handle("POST /{$}", (*exchange).action)
	v.handle("GET /{$}", (*exchange).action)
	return v
}

// action is the Query protocol: the operation and its parameters in a form.
func (x *exchange) action() error {
	form := x.r.URL.Query()
	if x.r.Method == http.MethodPost {
		if err := x.media("application/x-www-form-urlencoded"); err != nil {
			return err
		}
		var err error
		if form, err = url.ParseQuery(string(x.body)); err != nil {
			return &refusal{Status: http.StatusBadRequest, Kind: "MalformedQueryString", Message: err.Error()}
		}
	}
	if version := form.Get("Version"); version != "2011-06-15" {
		return &refusal{Status: http.StatusBadRequest, Kind: "InvalidAction", Message: "Could not find operation " + form.Get("Action") + " for version " + version}
	}
	switch form.Get("Action") {
	case "AssumeRole":
		return x.assumeRole(form)
	case "AssumeRoleWithWebIdentity":
		return x.assumeWithToken(form)
	case "GetCallerIdentity":
		return x.callerIdentity(form)
	}
	return &refusal{Status: http.StatusBadRequest, Kind: "InvalidAction", Message: "Could not find operation " + form.Get("Action") + " for version 2011-06-15"}
}

// parameters checks that there are all of those that must be and none beside
// the rest, and how long the session is to be.
func parameters(form url.Values, must string, may string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, &refusal{Status: http.StatusBadRequest, Kind: "ValidationError", Message: "1 validation error detected: " + why}
	}
	for name := range strings.FieldsSeq(must) {
		if form.Get(name) == "" {
			return bad("Value null at '" + name + "' failed to satisfy constraint: Member must not be null")
		}
	}
	known := " Action Version " + must + " " + may + " "
	for name := range form {
		if head, _, _ := strings.Cut(name, "."); !strings.Contains(known, " "+head+" ") {
			return bad("unknown parameter '" + name + "'")
		}
	}
	text := form.Get("DurationSeconds")
	if text == "" {
		return time.Hour, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 900 || seconds > 43200 {
		return bad("Value '" + text + "' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200")
	}
	return time.Duration(seconds) * time.Second, nil
}

func (x *exchange) assumeRole(form url.Values) error {
	if err := x.verify("sts"); err != nil {
		return err
	}
	d, err := parameters(form, "RoleArn RoleSessionName", "DurationSeconds ExternalId Policy PolicyArns Tags TransitiveTagKeys SourceIdentity")
	if err != nil {
		return err
	}
	if form.Get("RoleArn") != x.v.w.AWS.RoleARN {
		return &refusal{Status: http.StatusForbidden, Kind: "AccessDenied", Message: "User: " + x.seen.Subject + " is not authorized to perform: sts:AssumeRole on resource: " + form.Get("RoleArn")}
	}
	if err := x.trouble(); err != nil {
		return err
	}
	return x.xml(assumed{XMLName: answerName("AssumeRole"), Result: assumedResult{XMLName: xml.Name{Local: "AssumeRoleResult"}, session: x.session(form, d)}})
}

func (x *exchange) assumeWithToken(form url.Values) error {
	d, err := parameters(form, "RoleArn RoleSessionName WebIdentityToken", "DurationSeconds Policy PolicyArns ProviderId")
	if err != nil {
		return err
	}
	aws, token := x.v.w.AWS, form.Get("WebIdentityToken")
	x.presents(token, "")
	claims, err := x.v.w.Cluster.verify(token, "sts.amazonaws.com")
	switch {
	case err != nil && strings.Contains(err.Error(), "expired"):
		return &refusal{Status: http.StatusBadRequest, Kind: "ExpiredTokenException", Message: "Token expired"}
	case err != nil:
		return &refusal{Status: http.StatusBadRequest, Kind: "InvalidIdentityToken", Message: "Couldn't verify the token: " + err.Error()}
	case form.Get("RoleArn") != aws.RoleARN || claims.Subject != aws.Subject:
		return &refusal{Status: http.StatusForbidden, Kind: "AccessDenied", Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	x.presents(token, claims.Subject)
	if err := x.trouble(); err != nil {
		return err
	}
	return x.xml(assumed{XMLName: answerName("AssumeRoleWithWebIdentity"), Result: assumedResult{
		XMLName: xml.Name{Local: "AssumeRoleWithWebIdentityResult"}, session: x.session(form, d),
		Subject: claims.Subject, Audience: "sts.amazonaws.com", Provider: x.v.w.Cluster.Name,
	}})
}

func (x *exchange) callerIdentity(form url.Values) error {
	if err := x.verify("sts"); err != nil {
		return err
	}
	if _, err := parameters(form, "", ""); err != nil {
		return err
	}
	if err := x.trouble(); err != nil {
		return err
	}
	return x.xml(assumed{XMLName: answerName("GetCallerIdentity"), Result: struct {
		XMLName              xml.Name `xml:"GetCallerIdentityResult"`
		Arn, UserId, Account string
	}{Arn: x.seen.Subject, UserId: x.seen.Credential, Account: account}})
}

// session makes the keys of an assumed role.
func (x *exchange) session(form url.Values, d time.Duration) session {
	name := form.Get("RoleSessionName")
	arn := "arn:aws:sts::" + account + ":assumed-role/egret/" + name
	expires := x.v.w.now().Add(x.v.w.lifetime(d))
	id, key := x.v.w.AWS.issue(arn, expires)
	return session{
		Credentials: credentials{AccessKeyId: id, SecretAccessKey: key.secret, SessionToken: key.session, Expiration: expires.UTC().Format(time.RFC3339)},
		User:        assumedUser{Arn: arn, AssumedRoleId: "AROALAB:" + name},
	}
}

type assumed struct {
	XMLName xml.Name
	Result  any
	Request string `xml:"ResponseMetadata>RequestId"`
}

type assumedResult struct {
	XMLName  xml.Name
	Subject  string `xml:"SubjectFromWebIdentityToken,omitempty"`
	Audience string `xml:",omitempty"`
	session
	Provider string `xml:",omitempty"`
}

type session struct {
	User        assumedUser `xml:"AssumedRoleUser"`
	Credentials credentials
}

type assumedUser struct{ Arn, AssumedRoleId string }

type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }

func answerName(action string) xml.Name { return xml.Name{Space: stsSpace, Local: action + "Response"} }

// xml answers with XML, unless the fault has it otherwise.
func (x *exchange) xml(answer assumed) error {
	if !x.fault.wait(x.r.Context(), x.fault.First) {
		return errLeft
	}
	answer.Request = x.serial()
	data, err := xml.Marshal(answer)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	switch x.fault.Then {
	case Garble, End:
		data = data[:len(data)/2]
	case Stall, Cut:
		if !x.fault.strike(x) {
			return errLeft
		}
	}
	x.Header().Set("Content-Type", "text/xml")
	x.WriteHeader(http.StatusOK)
	_, err = x.Write(data)
	return err
}

// stsError writes <ErrorResponse><Error><Type/><Code/><Message/></Error></ErrorResponse>.
func stsError(x *exchange, r *refusal) {
	kind := map[string]string{
		"InvalidSignatureException": "SignatureDoesNotMatch", "UnrecognizedClientException": "InvalidClientTokenId",
		"MissingAuthenticationTokenException": "MissingAuthenticationToken", "IncompleteSignatureException": "IncompleteSignature",
		"": map[int]string{404: "InvalidAction", 405: "InvalidAction", 415: "InvalidContentType", 429: "Throttling", 503: "ServiceUnavailable"}[r.Status],
	}[r.Kind]
	if kind == "" {
		kind = strings.TrimSuffix(r.Kind, "Exception")
		if r.Kind == "ExpiredTokenException" {
			kind = r.Kind
		}
	}
	fault := "Sender"
	if r.Status >= 500 {
		fault = "Receiver"
		if kind == "" {
			kind = "InternalFailure"
		}
	}
	data, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestId string
	}{Type: fault, Code: kind, Message: r.Message, RequestId: x.serial()})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	x.Header().Set("Content-Type", "text/xml")
	x.WriteHeader(r.Status)
	_, _ = x.Write(data)
}
