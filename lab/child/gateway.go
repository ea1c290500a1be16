package child

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Gateway is an egret that serves.
type Gateway struct {
	*Process
	URL       string // of the MaaS gateway (Quickstart)
	Host      string // its host and port
	UserToken string // of kube:admin
	CAFile    string
	Admin     string // of the admin page, with its token
	Client    *http.Client
}

// Quickstart starts `egret quickstart` with more flags on free ports and
// returns when it serves.
func Quickstart(t testing.TB, flags ...string) *Gateway {
	t.Helper()
	env := filepath.Join(t.TempDir(), "egret.env")
	return QuickstartOf(t, Start(t, "", QuickstartArgs(env, flags...)...), env)
}

// QuickstartArgs is the command line of Quickstart.
func QuickstartArgs(env string, flags ...string) []string {
	return append([]string{"quickstart", "--env-file", env, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, flags...)
}

var exported = regexp.MustCompile(`(?m)^export ([A-Z_]+)='(.*)'$`)

// QuickstartOf waits until the env file of a process is there and reads it.
func QuickstartOf(t testing.TB, p *Process, env string) *Gateway {
	t.Helper()
	var text []byte
	Until(t, "egret quickstart serves", func() bool {
		if p.Ended() {
			t.Fatal("egret quickstart has ended")
		}
		var err error
		text, err = os.ReadFile(env)
		return err == nil
	})
	v := map[string]string{}
	for _, m := range exported.FindAllStringSubmatch(string(text), -1) {
		v[m[1]] = m[2]
	}
	g := &Gateway{Process: p, URL: "https://" + v["HOST"], Host: v["HOST"], UserToken: v["USER_TOKEN"], CAFile: v["CA_FILE"], Admin: v["ADMIN_URL"]}
	g.Client = Trusting(t, g.CAFile)
	return g
}

// Trusting returns an HTTP/1.1 client that trusts the CA of a file, "" being none, and forgets its connections with the test.
func Trusting(t testing.TB, ca string) *http.Client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 512, ForceAttemptHTTP2: false}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			t.Fatalf("%s holds no certificate", ca)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: Patience}
}

// Run starts `egret run` and returns when it serves; addresses are those of
// its announcement.
func Run(t testing.TB, flags ...string) *Gateway {
	t.Helper()
	p := Start(t, "", append([]string{"run"}, flags...)...)
	g := &Gateway{Process: p, Client: Trusting(t, "")}
	Until(t, "egret run serves", func() bool {
		if p.Ended() {
			t.Fatal("egret run has ended")
		}
		g.Admin = g.announced(`admin: (.*)/status`)
		return g.Admin != ""
	})
	return g
}

// Address returns the base URL of a port of a gateway of Run.
func (g *Gateway) Address(t testing.TB, gateway string, port int) string {
	t.Helper()
	u := g.announced(`gateway ` + regexp.QuoteMeta(gateway) + ` port ` + strconv.Itoa(port) + `: (\S+)`)
	if u == "" {
		t.Fatalf("gateway %s port %d is not announced", gateway, port)
	}
	return u
}

func (g *Gateway) announced(pattern string) string {
	m := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(g.Stdout.String())
	if m == nil {
		return ""
	}
	return m[1]
}

// Answer is one answer, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON decodes the body.
func (a *Answer) JSON(t testing.TB, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), out); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
}

// Call sends a request with a bearer token, unless that is "", and a JSON
// body, unless that is "". url may be a path of the MaaS gateway.
func (g *Gateway) Call(t testing.TB, method, u, token, body string) *Answer {
	t.Helper()
	a, err := g.Try(method, u, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Try is Call for callers that expect errors.
func (g *Gateway) Try(method, u, token, body string) (*Answer, error) {
	res, err := g.Open(method, u, token, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: string(b)}, err
}

// Open is Try without reading the body.
func (g *Gateway) Open(method, u, token, body string) (*http.Response, error) {
	if strings.HasPrefix(u, "/") {
		u = g.URL + u
	}
	req, err := http.NewRequest(method, u, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return g.Client.Do(req)
}

// Page calls the admin page.
func (g *Gateway) Page(t testing.TB, path string) *Answer {
	t.Helper()
	return g.Call(t, http.MethodGet, g.Admin+path, "", "")
}

// Mint returns a MaaS token of ten minutes for the holder of a user token.
func (g *Gateway) Mint(t testing.TB, userToken string) string {
	t.Helper()
	a := g.Call(t, http.MethodPost, "/maas-api/v1/tokens", userToken, `{"expiration":"10m"}`)
	var out struct {
		Token string `json:"token"`
	}
	if a.Status != http.StatusCreated {
		t.Fatalf("mint: %d %s", a.Status, a.Body)
	}
	a.JSON(t, &out)
	return out.Token
}

// Metric returns the value of a series, given as the text format shows it
// without its value; 0 when it is not there.
func (g *Gateway) Metric(t testing.TB, series string) float64 {
	t.Helper()
	for line := range strings.Lines(g.Page(t, "/metrics").Body) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// Usage returns the ledger's total of a user.
func (g *Gateway) Usage(t testing.TB, user string) (requests, tokens int64) {
	t.Helper()
	a := g.Page(t, "/usage?"+url.Values{"by": {"user"}, "user": {user}}.Encode())
	var out struct {
		Rows []struct{ Requests, Total int64 }
	}
	a.JSON(t, &out)
	for _, r := range out.Rows {
		requests, tokens = requests+r.Requests, tokens+r.Total
	}
	return requests, tokens
}
