package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/egret-gateway/egret/cmd/egret/offer"
	"github.com/egret-gateway/egret/manifests"
	"github.com/egret-gateway/egret/policy/ident/local"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/source/file"
	"github.com/egret-gateway/egret/standalone"
)

// The MaaS gateway of the manifests, and its user.
const (
	maasGateway = "openshift-ingress/maas-default-gateway"
	quickUser   = "kube:admin"
)

// quickstartCmd serves the embedded manifests.
type quickstartCmd struct {
	HTTP        string `placeholder:"ADDR" help:"Address of the gateway, HTTP. Default: 127.0.0.1:8080 or the next free port; port 0 is any free one."`
	HTTPS       string `placeholder:"ADDR" help:"Address of the gateway, HTTPS. Default: 127.0.0.1:8443 or the next free port."`
	EnvFile     string `type:"path" placeholder:"FILE" help:"Write HOST, USER_TOKEN, CA_FILE and ADMIN_URL here, to be sourced by your shell; and functions kubectl and oc, so that the document's commands can be pasted as they stand."`
	Manifests   string `type:"path" placeholder:"DIR" help:"Serve these manifests instead of the embedded ones."`
	NoProviders bool   `help:"Offer no models of providers whose keys are in the environment."`
	serveFlags
}

// Help is the long help of the command.
func (*quickstartCmd) Help() string {
	return `Everything runs in this process on loopback: the MaaS gateway with authentication and token limits, the egress gateway behind it, the MaaS API, and a simulated provider. Nothing is sent anywhere else unless you have a key for it:

With a provider's key in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, MISTRAL_API_KEY, GROQ_API_KEY, OPENROUTER_API_KEY, or AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT) models of that provider are offered, too, behind the same tokens and limits; EGRET_OPENAI_MODELS="a,b" and its like say which. The key stays in memory and is shown to its provider only, and nothing is sent there until somebody calls one of these models. --no-providers turns it off.

Example:
  egret quickstart --env-file egret.env
  source egret.env; egret models`
}

// Run serves until a signal.
func (c *quickstartCmd) Run(w *world) error {
	o, done, err := c.serveFlags.options(w)
	if err != nil {
		return err
	}
	defer done()
	home := c.Data
	if home == "" {
		if home, err = os.MkdirTemp("", "egret-"); err != nil {
			return err
		}
		defer os.RemoveAll(home)
	} else if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	cert, err := ensureCertificate(home)
	if err != nil {
		return err
	}
	token, err := ensureUser(home, &o)
	if err != nil {
		return err
	}
	o.Files = file.Options{FS: manifests.FS, Log: o.Log}
	if c.Manifests != "" {
		o.Files = file.Options{Paths: []string{c.Manifests}, Log: o.Log}
	}
	offers := &offer.Offers{}
	if !c.NoProviders {
		if offers, err = offer.Find(w.ctx, os.Getenv, standalone.MaaSNamespace); err != nil {
			return err
		}
	}
	o.Amend = func(s *source.Snapshot) {
		cert.amend(s)
		offers.Amend(s)
	}
	o.Inner, o.Simulate = true, true
	o.Admin = either(c.Admin, "127.0.0.1:9901")
	o.Listen[maasGateway+"/http"], o.Listen[maasGateway+"/https"] = either(c.HTTP, "127.0.0.1:8080"), either(c.HTTPS, "127.0.0.1:8443")
	s, err := standalone.New(w.ctx, o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(w.ctx)
	defer stop(nil)
	err = s.Run(ctx, func(s *standalone.System) {
		env := environment{token: token, ca: cert.file, admin: "http://egret:" + o.AdminToken + "@" + s.AdminAddress()}
		for _, b := range s.Bound() {
			if b.TLS && b.Gateway == maasGateway {
				_, env.port, _ = net.SplitHostPort(b.Address.String())
			}
		}
		if c.EnvFile != "" {
			if err := env.write(c.EnvFile); err != nil {
				stop(fmt.Errorf("env file: %w", err))
				return
			}
		}
		env.welcome(w.stdout, c.EnvFile, offers)
	})
	if cause := context.Cause(ctx); w.ctx.Err() == nil && cause != nil {
		return errors.Join(cause, err)
	}
	return err
}

// ensureUser makes the quickstart's user, or reads back the token of an
// earlier start with the same data directory.
func ensureUser(home string, o *standalone.Options) (token string, err error) {
	if o.Users == "" {
		o.Users = filepath.Join(home, "users.yaml")
	}
	kept := filepath.Join(home, "user-token")
	if b, err := os.ReadFile(kept); err == nil {
		if _, err := os.Stat(o.Users); err == nil {
			return strings.TrimSpace(string(b)), nil
		}
	}
	if token, err = local.Enroll(o.Users, quickUser, []string{"system:cluster-admins"}, nil); err != nil {
		return "", err
	}
	return token, os.WriteFile(kept, []byte(token+"\n"), 0o600)
}

// environment is what a shell needs to talk to the quickstart.
type environment struct {
	port, token, ca, admin string
}

// write makes the file that a shell sources; it holds secrets, hence 0600.
func (e *environment) write(path string) error {
	q := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	text := fmt.Sprintf(`export HOST=%s
export USER_TOKEN=%s
export CA_FILE=%s
export ADMIN_URL=%s
# What the quickstart document asks of a cluster.
kubectl() {
  case "$*" in
    "get ingresses.config.openshift.io cluster -o jsonpath={.spec.domain}") printf %%s %s ;;
    *) echo "kubectl: there is no cluster here; the quickstart answers 'get ingresses.config.openshift.io cluster' only" >&2; return 1 ;;
  esac
}
oc() {
  case "$*" in
    "whoami -t") echo "$USER_TOKEN" ;;
    "whoami") echo %s ;;
    *) echo "oc: there is no cluster here; the quickstart answers 'whoami' and 'whoami -t' only" >&2; return 1 ;;
  esac
}
`, q("localhost:"+e.port), q(e.token), q(e.ca), q(e.admin), q("localhost:"+e.port), q(quickUser))
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path) // whoever waits for the file finds it whole
}

// welcome says what is there and what to try.
func (e *environment) welcome(out io.Writer, envFile string, offers *offer.Offers) {
	if envFile == "" {
		fmt.Fprintf(out, `
Egret is serving. Paste this into another terminal:

  export HOST=localhost:%s USER_TOKEN=%s
  export CA_FILE=%s ADMIN_URL=%s
`, e.port, e.token, e.ca, e.admin)
	} else {
		fmt.Fprintf(out, "\nEgret is serving. In another terminal:\n\n  source %s\n", envFile)
	}
	fmt.Fprint(out, `
  # a MaaS token for 10 minutes, the models, a completion
  TOKEN=$(curl -sS --cacert $CA_FILE -H "Authorization: Bearer $USER_TOKEN" --json '{"expiration": "10m"}' https://$HOST/maas-api/v1/tokens | jq -r .token)
  curl -sS --cacert $CA_FILE -H "Authorization: Bearer $TOKEN" https://$HOST/v1/models | jq
  curl -sS --cacert $CA_FILE -H "Authorization: Bearer $TOKEN" \
    --json '{"model": "gpt-4-external", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}' \
    https://$HOST/external/v1/chat/completions | jq

  # again until the 100 tokens per minute of the free tier are spent; then see who used what, and why
  egret usage
  egret explain /external/v1/chat/completions --token $TOKEN
  curl -s "$ADMIN_URL/status?format=table"
`)
	offers.Print(out)
	fmt.Fprint(out, "\nCtrl-C ends it.\n")
}
