package fake

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const metadataAddress = "169.254.169.254"

// metadata is what a cloud's machines ask for credentials, over cleartext: the
// three clouds at one address, told apart by their paths.
func (w *World) metadata() *Vendor {
	v := w.vendor("metadata", metadataError, metadataAddress, "metadata.google.internal")
	v.handle("PUT /latest/api/token", (*exchange).imdsToken)
	v.handle("GET /latest/meta-data/iam/security-credentials/{$}", imds(func(x *exchange) error { return x.text(w.AWS.InstanceRole) }))
	v.handle("GET /latest/meta-data/iam/security-credentials/{role}", imds((*exchange).instanceKeys))
	v.handle("GET /latest/meta-data/placement/region", imds(func(x *exchange) error { return x.text(region) }))
	account := "/computeMetadata/v1/instance/service-accounts/{account}"
	v.handle("GET /{$}", flavoured(func(x *exchange) error { return x.text("computeMetadata/\n") }))
	v.handle("GET /computeMetadata/v1/project/project-id", flavoured(func(x *exchange) error { return x.text(project) }))
	v.handle("GET "+account+"/email", flavoured(func(x *exchange) error { return x.text(w.ServiceAccount.Email) }))
	v.handle("GET "+account+"/token", flavoured((*exchange).instanceToken))
	v.handle("GET "+account+"/identity", flavoured(func(x *exchange) error {
		audience := x.r.URL.Query().Get("audience")
		if audience == "" {
			return &refusal{Status: http.StatusBadRequest, Message: "non-empty audience parameter required"}
		}
		return x.text(w.Cluster.Token(w.ServiceAccount.Email, audience, w.lifetime(time.Hour)))
	}))
	v.handle("GET /metadata/identity/oauth2/token", (*exchange).managedIdentity)
	return v
}

// text answers with plain text.
func (x *exchange) text(s string) error {
	if err := x.trouble(); err != nil {
		return err
	}
	if !x.fault.wait(x.r.Context(), x.fault.First) {
		return errLeft
	}
	x.Header().Set("Content-Type", "text/plain")
	x.WriteHeader(http.StatusOK)
	_, err := x.Write([]byte(s))
	return err
}

// imdsToken opens a session of IMDSv2.
func (x *exchange) imdsToken() error {
	if x.r.Header.Get("X-Forwarded-For") != "" {
		return &refusal{Status: http.StatusForbidden, Message: "Forbidden"}
	}
	ttl := x.r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds")
	seconds, err := strconv.Atoi(ttl)
	if err != nil || seconds < 1 || seconds > 21600 {
		return &refusal{Status: http.StatusBadRequest, Message: "Bad Request"}
	}
	token, _ := x.v.w.issue("AQAElab-", "instance", "imds", time.Duration(seconds)*time.Second)
	x.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl)
	return x.text(token)
}

// imds asks for the token of a session; there is no IMDSv1.
func imds(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		token := x.r.Header.Get("X-Aws-Ec2-Metadata-Token")
		x.presents(token, "")
		if g, ok := x.v.w.tokens.find(token, x.v.w.now()); !ok || g.scope != "imds" {
			return &refusal{Status: http.StatusUnauthorized, Message: "Unauthorized"}
		}
		x.presents(token, "instance")
		return then(x)
	}
}

func (x *exchange) instanceKeys() error {
	w := x.v.w
	role := x.r.PathValue("role")
	if role != w.AWS.InstanceRole {
		return &refusal{Status: http.StatusNotFound, Message: "Not Found"}
	}
	if err := x.trouble(); err != nil {
		return err
	}
	expires := w.now().Add(w.lifetime(6 * time.Hour))
	id, key := w.AWS.issue("arn:aws:sts::"+account+":assumed-role/"+role+"/i-lab", expires)
	return x.reply(object{
		"Code": "Success", "LastUpdated": w.now().UTC().Format(time.RFC3339), "Type": "AWS-HMAC",
		"AccessKeyId": id, "SecretAccessKey": key.secret, "Token": key.session, "Expiration": expires.UTC().Format(time.RFC3339),
	})
}

// flavoured asks for the header that keeps browsers and forwarders out.
func flavoured(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		x.Header().Set("Metadata-Flavor", "Google")
		x.Header().Set("Server", "Metadata Server for VM")
		if x.r.URL.Path != "/" && x.r.Header.Get("Metadata-Flavor") != "Google" || x.r.Header.Get("X-Forwarded-For") != "" {
			return &refusal{Status: http.StatusForbidden, Message: "Missing required header: Metadata-Flavor: Google"}
		}
		if name := x.r.PathValue("account"); name != "" && name != "default" && name != x.v.w.ServiceAccount.Email {
			return &refusal{Status: http.StatusNotFound, Message: "no such service account"}
		}
		return then(x)
	}
}

func (x *exchange) instanceToken() error {
	if err := x.trouble(); err != nil {
		return err
	}
	token, seconds := x.v.w.issue("ya29.m.lab-", x.v.w.ServiceAccount.Email, CloudScope, time.Hour)
	return x.reply(object{"access_token": token, "expires_in": seconds, "token_type": "Bearer"})
}

// managedIdentity is Azure's IMDS.
func (x *exchange) managedIdentity() error {
	query := x.r.URL.Query()
	bad := func(code, why string) error {
		return &refusal{Status: http.StatusBadRequest, Code: code, Message: why}
	}
	switch {
	case x.r.Header.Get("Metadata") != "true" || x.r.Header.Get("X-Forwarded-For") != "":
		return bad("bad_request_102", "Required metadata header not specified")
	case query.Get("api-version") != "2018-02-01":
		return bad("invalid_request", "Required query variable 'api-version' is missing or not supported: want 2018-02-01")
	case query.Get("resource") == "":
		return bad("invalid_request", "Required query variable 'resource' is missing")
	case query.Get("client_id") != "" && query.Get("client_id") != x.v.w.App.ID:
		return bad("invalid_request", "Identity not found")
	}
	if err := x.trouble(); err != nil {
		return err
	}
	resource := strings.TrimSuffix(query.Get("resource"), "/")
	token, seconds := x.v.w.issue("eyJ0-lab-m-", "app "+x.v.w.App.ID, resource+"/.default", 24*time.Hour)
	now := x.v.w.now().Unix()
	return x.reply(object{
		"access_token": token, "client_id": x.v.w.App.ID, "expires_in": strconv.Itoa(seconds), "expires_on": strconv.FormatInt(now+int64(seconds), 10),
		"not_before": strconv.FormatInt(now, 10), "resource": query.Get("resource"), "token_type": "Bearer",
	})
}

// metadataError answers as the cloud whose path was asked for.
func metadataError(x *exchange, r *refusal) {
	if strings.HasPrefix(x.r.URL.Path, "/metadata/") {
		x.write(r.Status, object{"error": orNull(r.Code), "error_description": r.Message})
		return
	}
	x.Header().Set("Content-Type", "text/html")
	x.WriteHeader(r.Status)
	_, _ = fmt.Fprintf(x, "<html><title>%d - %s</title><body>%s</body></html>\n", r.Status, http.StatusText(r.Status), html.EscapeString(r.Message))
}
