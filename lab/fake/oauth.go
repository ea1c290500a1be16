package fake

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client is the client that is registered at the partner's OAuth2 server.
type Client struct {
	ID, Secret string
	Scope      string // the only one it may ask for, and what it gets without asking
	TokenURL   string
}

func newClient() *Client {
	return &Client{ID: "egret-lab", Secret: secret(), Scope: "models.call", TokenURL: "https://login.partner.example/oauth2/token"}
}

// oauth is the token endpoint of a partner: RFC 6749, client credentials.
func (w *World) oauth() *Vendor {
	v := w.vendor("oauth", oauthError, "login.partner.example")
	v.handle("POST /oauth2/token", func(x *exchange) error {
		form, err := x.form()
		if err != nil {
			return err
		}
		if err := x.client(form); err != nil {
			return err
		}
		if grant := form.Get("grant_type"); grant != "client_credentials" {
			return oauthRefusal("unsupported_grant_type", "the grant_type "+grant+" is not supported")
		}
		if scope := form.Get("scope"); scope != "" && scope != w.Client.Scope {
			return oauthRefusal("invalid_scope", "the client may not ask for "+scope)
		}
		if err := x.trouble(); err != nil {
			return err
		}
		token, seconds := w.issue("partner-", "client "+w.Client.ID, w.Client.Scope, time.Hour)
		return x.grant(object{"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": w.Client.Scope})
	})
	return v
}

// Granted reports whose token this is and what for, as a resource server of
// the partner would ask.
func (w *World) Granted(token string) (subject, scope string, ok bool) {
	g, ok := w.tokens.find(token, w.now())
	return g.subject, g.scope, ok
}

// client wants the client's id and secret, either in the Authorization header
// or in the form, never in both (RFC 6749, 2.3).
func (x *exchange) client(form url.Values) error {
	known := x.v.w.Client
	id, key, basic := x.r.BasicAuth()
	if basic {
		// Both halves are form-encoded there: RFC 6749, 2.3.1.
		id, key = unescape(id), unescape(key)
		if form.Has("client_secret") {
			return oauthRefusal("invalid_request", "the client authenticates in two ways")
		}
	} else {
		id, key = form.Get("client_id"), form.Get("client_secret")
	}
	x.presents(key, "")
	if id != known.ID || key != known.Secret {
		if basic {
			x.Header().Set("WWW-Authenticate", `Basic realm="partner"`)
		}
		return &refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Message: "the client is unknown or its secret is wrong"}
	}
	x.presents(key, "client "+id)
	return nil
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// form reads a form, each parameter of which may occur once.
func (x *exchange) form() (url.Values, error) {
	if x.media("application/x-www-form-urlencoded") != nil {
		return nil, oauthRefusal("invalid_request", "the content type must be application/x-www-form-urlencoded")
	}
	form, err := url.ParseQuery(string(x.body))
	if err != nil {
		return nil, oauthRefusal("invalid_request", err.Error())
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, oauthRefusal("invalid_request", "the parameter "+name+" is repeated")
		}
	}
	return form, nil
}

// grant answers with a token, which nobody may keep (RFC 6749, 5.1).
func (x *exchange) grant(answer object) error {
	x.Header().Set("Cache-Control", "no-store")
	x.Header().Set("Pragma", "no-cache")
	return x.reply(answer)
}

func oauthRefusal(code, why string) error {
	return &refusal{Status: http.StatusBadRequest, Code: code, Message: why}
}

// oauthError writes {"error","error_description"}.
func oauthError(x *exchange, r *refusal) {
	code := r.Code
	switch {
	case code != "":
	case r.Status == http.StatusTooManyRequests, r.Status == http.StatusServiceUnavailable:
		code = "temporarily_unavailable"
	case r.Status >= 500:
		code = "server_error"
	default:
		code = "invalid_request"
	}
	x.write(r.Status, object{"error": code, "error_description": strings.TrimSpace(r.Message)})
}
