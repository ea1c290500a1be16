package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/api/credential"
	"github.com/egret-gateway/egret/provider"
)

// mostAnswer bounds the answer of a token endpoint in bytes.
const mostAnswer = 256 << 10

// The addresses of the metadata services of Google Cloud and Azure. Backends
// never get to them (plan.Refused); a pod's own identity does.
const (
	metadataAddress = "169.254.169.254:80"
	googleMetadata  = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
	azureMetadata   = "http://169.254.169.254/metadata/identity/oauth2/token"
)

// Metadata reaches the metadata services, whatever address it is asked for, and
// nothing else.
func Metadata() http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", metadataAddress)
		},
		ResponseHeaderTimeout: fetchTime, MaxResponseHeaderBytes: 64 << 10,
	}
}

// post sends a form to a token endpoint. It follows nobody elsewhere.
func (o *Office) post(ctx context.Context, address string, form url.Values, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the token endpoint's address cannot be used")
	}
	for name, v := range header {
		req.Header[name] = v
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return o.call(req, o.opts.HTTP)
}

// call makes a request and returns the answer's body, which is an error unless
// it is a success.
func (o *Office) call(req *http.Request, way http.RoundTripper) ([]byte, error) {
	if way == nil {
		return nil, fmt.Errorf("%s cannot be reached from here", req.URL.Host)
	}
	req.Header.Set("User-Agent", "egret")
	res, err := way.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Host, unheard(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: its answer broke off: %w", req.URL.Host, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d%s", req.URL.Host, res.StatusCode, word(body))
	}
	return body, nil
}

// unheard is why there is no answer. What a server has sent in place of one,
// which net/http quotes, is not repeated.
func unheard(err error) error {
	var op *net.OpError
	if errors.As(err, &op) || provider.Connecting(err) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.New("there is no answer in HTTP")
}

// code is an error code as RFC 6749 5.2 and AWS have it.
var code = regexp.MustCompile(`(?:"error"\s*:\s*"|<Code>)([A-Za-z0-9_.]{1,64})["<]`)

// number is what Entra ID calls the cause by: AADSTS and these digits.
var number = regexp.MustCompile(`"error_codes"\s*:\s*\[\s*([0-9]{1,9})`)

// word is the error code in an answer, with Microsoft's number. Nothing else of
// it is repeated: it may quote what was sent.
func word(body []byte) string {
	m := code.FindSubmatch(body)
	if m == nil {
		return ""
	}
	if n := number.FindSubmatch(body); n != nil {
		return " " + string(m[1]) + " AADSTS" + string(n[1])
	}
	return " " + string(m[1])
}

// lifetime is a number of seconds, which Azure writes as a string.
type lifetime float64

func (l *lifetime) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	*l = lifetime(n)
	return err
}

// unsaid is the life of a token whose endpoint does not tell it.
const unsaid = 5 * time.Minute

// granted reads an answer of RFC 6749 5.1.
func (o *Office) granted(body []byte) (grant, error) {
	var in struct {
		Token string   `json:"access_token"`
		Type  string   `json:"token_type"`
		Life  lifetime `json:"expires_in"`
	}
	if json.Unmarshal(body, &in) != nil {
		return grant{}, errors.New("the token endpoint's answer is not what RFC 6749 says")
	}
	value, err := credential.Value([]byte(in.Token))
	if err != nil {
		return grant{}, fmt.Errorf("the access_token %w", err)
	}
	if in.Type != "" && !strings.EqualFold(in.Type, "bearer") {
		return grant{}, errors.New("the token is of a type other than Bearer")
	}
	life := time.Duration(min(float64(in.Life), longest.Seconds())) * time.Second
	if in.Life == 0 {
		life = unsaid
	}
	return grant{Value: value, Expires: o.opts.Now().Add(life)}, nil
}
