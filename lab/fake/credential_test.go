package fake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// TestSigV4 holds the verification against the example "get-vanilla" that AWS
// publishes for those who sign.
func TestSigV4(t *testing.T) {
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	w := New(t)
	w.Clock(func() time.Time { return at })
	w.AWS.keys["AKIDEXAMPLE"] = awsKey{secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", subject: "example"}
	const signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	f := func(edit func(*http.Request), want string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "https://example.amazonaws.com/", nil)
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature="+signature)
		edit(r)
		x := &exchange{r: r, v: w.Bedrock, seen: &Seen{}}
		err := x.verify("service")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	f(func(*http.Request) {}, "")
	f(func(r *http.Request) { r.Method = http.MethodPost }, "does not match")
	f(func(r *http.Request) { r.Host = "evil.amazonaws.com" }, "does not match")
	f(func(r *http.Request) { r.URL.Path = "/other" }, "does not match")
	f(func(r *http.Request) { r.URL.RawQuery = "a=b" }, "does not match")
	f(func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T124200Z") }, "Signature expired")
	f(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", digest([]byte("other"))) }, "not the digest")
	f(func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }, "security token included in the request is invalid")
	f(replace("us-east-1", "eu-west-1"), "should be scoped to us-east-1")
	f(replace("/service/", "/sts/"), "should be scoped to")
	f(replace("host;x-amz-date", "x-amz-date"), "'host' must be a 'SignedHeader'")
	f(replace("host;x-amz-date", "host;x-amz-date;x-other"), "is not in the request")
	f(replace("AKIDEXAMPLE", "AKIDOTHER"), "security token included in the request is invalid")
	f(replace("Signature=5", "Signature=6"), "does not match")
}

func TestRotation(t *testing.T) {
	w := New(t)
	c := calls[0]
	status := func(key string) int {
		t.Helper()
		c.header = "Authorization: Bearer " + key + "\n" + js
		response, _ := send(t, w.HTTP(), w.OpenAI, c)
		return response.StatusCode
	}
	w.OpenAI.Accept("sk-new")
	if old, next := status("KEY"), status("sk-new"); old != 200 || next != 200 {
		t.Errorf("both keys: %d, %d", old, next)
	}
	w.OpenAI.Revoke(w.OpenAI.Key)
	if old, next := status("KEY"), status("sk-new"); old != 401 || next != 200 {
		t.Errorf("the new key only: %d, %d", old, next)
	}
	if seen := w.OpenAI.Journal()[3]; seen.Credential != "sk-new" || seen.Via != "authorization" || seen.Subject != "api key" {
		t.Errorf("%+v", seen)
	}
}

// post sends a form and returns what the answer says under a name.
func post(t *testing.T, w *World, to string, values url.Values, name string) (int, string) {
	t.Helper()
	response, err := w.HTTP().PostForm(to, values)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	text, _ := answer[name].(string)
	return response.StatusCode, text
}

func TestTokensExpire(t *testing.T) {
	w := New(t)
	w.Lifetime(time.Minute)
	values := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.App.ID}, "client_secret": {w.App.Secret}, "scope": {CognitiveScope}}
	_, token := post(t, w, w.App.TokenURL(), values, "access_token")
	c := call{path: azurePath + "?api-version=2024-10-21", header: "Authorization: Bearer " + token + "\n" + js, body: chatBody}
	if response, body := send(t, w.HTTP(), w.Azure, c); response.StatusCode != 200 {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	later := time.Now().Add(61 * time.Second)
	w.Clock(func() time.Time { return later })
	if response, _ := send(t, w.HTTP(), w.Azure, c); response.StatusCode != 401 {
		t.Errorf("status %d after the token's time, want 401", response.StatusCode)
	}
	values.Set("scope", "https://management.azure.com/.default")
	_, token = post(t, w, w.App.TokenURL(), values, "access_token")
	c.header = "Authorization: Bearer " + token + "\n" + js
	if response, _ := send(t, w.HTTP(), w.Azure, c); response.StatusCode != 401 {
		t.Errorf("status %d for a token of another audience, want 401", response.StatusCode)
	}
}

func TestWebIdentity(t *testing.T) {
	w := New(t)
	f := func(token, role string, status int, want string) {
		t.Helper()
		body := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"s"}, "WebIdentityToken": {token}}.Encode()
		response, got := send(t, w.HTTP(), w.STS, call{path: "/", header: form, body: body})
		if response.StatusCode != status || !strings.Contains(got, want) {
			t.Errorf("%d %s, want %d with %s", response.StatusCode, got, status, want)
		}
	}
	const audience = "sts.amazonaws.com"
	f(w.Cluster.Token(w.AWS.Subject, audience, time.Hour), w.AWS.RoleARN, 200, "<SessionToken>")
	f(w.Cluster.Token(w.AWS.Subject, audience, -time.Minute), w.AWS.RoleARN, 400, "ExpiredTokenException")
	f(w.Cluster.Token(w.AWS.Subject, "other", time.Hour), w.AWS.RoleARN, 400, "InvalidIdentityToken")
	f(w.Cluster.Token("system:serviceaccount:a:b", audience, time.Hour), w.AWS.RoleARN, 403, "AccessDenied")
	f(w.Cluster.Token(w.AWS.Subject, audience, time.Hour), w.AWS.RoleARN+"2", 403, "AccessDenied")
	f(New(t).Cluster.Token(w.AWS.Subject, audience, time.Hour), w.AWS.RoleARN, 400, "InvalidIdentityToken")
}

func TestJWTBearer(t *testing.T) {
	w, other := New(t), New(t)
	now := time.Now()
	good := jwt.Claims{Issuer: w.ServiceAccount.Email, Audience: jwt.Audience{googleTokenURL}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour))}
	f := func(by *World, claims jwt.Claims, scope string, want string) {
		t.Helper()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: by.ServiceAccount.key()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		assertion, err := jwt.Signed(signer).Claims(claims).Claims(struct {
			Scope string `json:"scope"`
		}{scope}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		status, code := post(t, w, googleTokenURL, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}, "error")
		if code != want || (status == 200) != (want == "") {
			t.Errorf("%d %q, want %q", status, code, want)
		}
	}
	f(w, good, CloudScope, "")
	f(w, good, "", "invalid_scope")
	f(other, good, CloudScope, "invalid_grant")
	wrong := good
	wrong.Audience = jwt.Audience{"https://oauth2.example/token"}
	f(w, wrong, CloudScope, "invalid_grant")
	wrong = good
	wrong.Issuer = "somebody@else"
	f(w, wrong, CloudScope, "invalid_grant")
	wrong = good
	wrong.Expiry = jwt.NewNumericDate(now.Add(2 * time.Hour))
	f(w, wrong, CloudScope, "invalid_grant")
	wrong = good
	wrong.Expiry = jwt.NewNumericDate(now.Add(-time.Hour))
	f(w, wrong, CloudScope, "invalid_grant")
}

func TestClientCredentials(t *testing.T) {
	w := New(t)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.Client.ID}, "client_secret": {w.Client.Secret}}
	status, token := post(t, w, w.Client.TokenURL, form, "access_token")
	if subject, scope, ok := w.Granted(token); status != 200 || !ok || subject != "client egret-lab" || scope != w.Client.Scope {
		t.Errorf("%d: %q, %q, %v", status, subject, scope, ok)
	}
	w.Withdraw(token)
	if _, _, ok := w.Granted(token); ok {
		t.Error("a withdrawn token is granted")
	}
	form.Set("scope", "everything")
	if status, code := post(t, w, w.Client.TokenURL, form, "error"); status != 400 || code != "invalid_scope" {
		t.Errorf("%d %s", status, code)
	}
}
