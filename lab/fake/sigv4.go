package fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// region is the only one there is.
const region = "us-east-1"

// skew is how far a signature's time may be from the vendor's.
const skew = 5 * time.Minute

const sigv4 = "AWS4-HMAC-SHA256"

// verify recomputes the AWS Signature Version 4 of the request for a service.
func (x *exchange) verify(service string) error {
	denied := func(kind, why string) error {
		return &refusal{Status: http.StatusForbidden, Kind: kind, Message: why}
	}
	algorithm, rest, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if rest == "" {
		return denied("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if algorithm != sigv4 || len(scope) != 5 || parts["SignedHeaders"] == "" || parts["Signature"] == "" {
		return denied("IncompleteSignatureException", "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters of "+sigv4+".")
	}
	x.presents(scope[0], "")
	now := x.v.w.now()
	key, ok := x.v.w.AWS.find(scope[0])
	switch {
	case !ok || key.session != x.r.Header.Get("X-Amz-Security-Token"):
		return denied("UnrecognizedClientException", "The security token included in the request is invalid.")
	case !key.expires.IsZero() && !now.Before(key.expires):
		return denied("ExpiredTokenException", "The security token included in the request is expired")
	}
	at, err := time.Parse("20060102T150405Z", x.r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil || scope[1] != at.Format("20060102"):
		return denied("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	case at.Sub(now).Abs() > skew:
		return denied("InvalidSignatureException", "Signature expired: "+x.r.Header.Get("X-Amz-Date")+" is not within 5 min. of "+now.UTC().Format("20060102T150405Z"))
	case !slices.Equal(scope[2:], []string{region, service, "aws4_request"}):
		return denied("InvalidSignatureException", "Credential should be scoped to "+region+"/"+service+"/aws4_request.")
	}
	canonical, why := x.canonical(strings.Split(parts["SignedHeaders"], ";"))
	if why != "" {
		return denied("InvalidSignatureException", why)
	}
	text := strings.Join([]string{sigv4, x.r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), digest([]byte(canonical))}, "\n")
	mac := []byte("AWS4" + key.secret)
	for _, step := range append(scope[1:], text) {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(step))
		mac = h.Sum(nil)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(mac)), []byte(parts["Signature"])) {
		return denied("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	x.presents(scope[0], key.subject)
	return nil
}

// canonical is the canonical request, or why there is none.
func (x *exchange) canonical(names []string) (request, why string) {
	must := []string{"host", "x-amz-date"}
	if x.r.Header.Get("X-Amz-Security-Token") != "" {
		must = append(must, "x-amz-security-token")
	}
	for _, name := range must {
		if !slices.Contains(names, name) {
			return "", "'" + name + "' must be a 'SignedHeader' in the AWS Authorization."
		}
	}
	if !slices.IsSorted(names) {
		return "", "The 'SignedHeaders' are not in order."
	}
	var headers strings.Builder
	for _, name := range names {
		var values []string
		switch name {
		case "host":
			values = []string{x.r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(x.r.ContentLength, 10)}
		default:
			for _, value := range x.r.Header.Values(name) {
				values = append(values, strings.Join(strings.Fields(value), " "))
			}
		}
		if values == nil {
			return "", "The signed header '" + name + "' is not in the request."
		}
		headers.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	body := digest(x.body)
	if stated := x.r.Header.Get("X-Amz-Content-Sha256"); stated != "" && stated != body {
		return "", "The value of x-amz-content-sha256 is not the digest of the body."
	}
	return strings.Join([]string{x.r.Method, canonicalPath(x.r.URL), canonicalQuery(x.r.URL.Query()), headers.String(), strings.Join(names, ";"), body}, "\n"), ""
}

// canonicalPath encodes the path a second time, as all services but S3 want it.
func canonicalPath(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		segments[i] = strict(s)
	}
	if path := strings.Join(segments, "/"); path != "" {
		return path
	}
	return "/"
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, value := range values {
			pairs = append(pairs, strict(name)+"="+strict(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// strict escapes everything but the unreserved characters of RFC 3986.
func strict(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
