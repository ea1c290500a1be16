package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// target is a running Egret, as its users reach it. The environment that
// `egret quickstart --env-file` writes fills it in.
type target struct {
	Host   string `env:"HOST" placeholder:"HOST" help:"Host of the MaaS gateway, with its port."`
	Token  string `env:"USER_TOKEN" placeholder:"TOKEN" help:"Your bearer token."`
	CAFile string `env:"CA_FILE" placeholder:"FILE" help:"CA of the gateway's certificate."`
}

const clientTimeout = 30 * time.Second

// call sends one request to the MaaS gateway and decodes the answer into out,
// unless that is nil.
func (t *target) call(ctx context.Context, method, path string, in, out any) error {
	if t.Host == "" || t.Token == "" {
		return errors.New("the gateway and your token are not known; source the env file of egret quickstart, or give --host and --token")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(t.Host, "https://"), "/")
	if strings.Contains(host, "/") {
		return fmt.Errorf("host %q is not a host with its port; write localhost:8443, say", t.Host)
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "https", Host: host, Path: path}
	return exchange(ctx, client, method, u.String(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+t.Token) }, in, out)
}

func (t *target) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no certificate", t.CAFile)
		}
	}
	return &http.Client{Timeout: clientTimeout, Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// page is a running Egret's admin page.
type page struct {
	AdminURL string `env:"ADMIN_URL" placeholder:"URL" help:"Admin page, with its token: http://egret:TOKEN@ADDRESS."`
}

func (p *page) call(ctx context.Context, method, path string, in, out any) error {
	if p.AdminURL == "" {
		return errors.New("the admin page is not known; source the env file of egret quickstart, or give --admin-url")
	}
	client := &http.Client{Timeout: clientTimeout}
	return exchange(ctx, client, method, strings.TrimSuffix(strings.TrimSuffix(p.AdminURL, "/"), "/status")+path, func(*http.Request) {}, in, out)
}

const maxAnswer = 32 << 20

func exchange(ctx context.Context, client *http.Client, method, url string, sign func(*http.Request), in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	sign(req)
	res, err := client.Do(req)
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; name the CA of the gateway's certificate with --ca-file", err)
	case err != nil:
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode > 299 {
		why := strings.TrimSpace(string(b))
		if why == "" {
			why = res.Header.Get("X-Ext-Auth-Reason")
		}
		return fmt.Errorf("%s %s: %s: %s", method, req.URL.Redacted(), res.Status, why)
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, out)
}
