package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/egret-gateway/egret/admin"
)

// outFlag chooses how to print.
type outFlag struct {
	Out string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func printJSON(w *world, v any) error {
	e := json.NewEncoder(w.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// tokenCmd mints and revokes tokens.
type tokenCmd struct {
	Mint   tokenMintCmd   `cmd:"" default:"withargs" help:"Mint a token and print it."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke all your tokens, API keys included."`
}

// Help is the long help of the command.
func (*tokenCmd) Help() string {
	return `Without a command: mint.

Example:
  TOKEN=$(egret token --expiration 1h)
  egret token revoke`
}

type tokenMintCmd struct {
	target
	Expiration string `default:"4h" help:"Lifetime, at least 10m."`
	outFlag
}

// Help is the long help of the command.
func (*tokenMintCmd) Help() string {
	return `Example:
  TOKEN=$(egret token --expiration 1h)`
}

// Run prints the token alone, or the whole answer with -o json.
func (c *tokenMintCmd) Run(w *world) error {
	var out map[string]any
	if err := c.call(w.ctx, http.MethodPost, "/maas-api/v1/tokens", map[string]string{"expiration": c.Expiration}, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	fmt.Fprintln(w.stdout, out["token"])
	return nil
}

type tokenRevokeCmd struct{ target }

// Help is the long help of the command.
func (*tokenRevokeCmd) Help() string {
	return `Example:
  egret token revoke`
}

// Run revokes.
func (c *tokenRevokeCmd) Run(w *world) error {
	if err := c.call(w.ctx, http.MethodDelete, "/maas-api/v1/tokens", nil, nil); err != nil {
		return err
	}
	fmt.Fprintln(w.stdout, "all your tokens and API keys are revoked")
	return nil
}

// keysCmd manages API keys.
type keysCmd struct {
	List   keysListCmd   `cmd:"" default:"withargs" help:"List your API keys."`
	Create keysCreateCmd `cmd:"" help:"Make an API key and print its token, once."`
	Revoke keysRevokeCmd `cmd:"" help:"Revoke one API key."`
}

// Help is the long help of the command.
func (*keysCmd) Help() string {
	return `Without a command: list.

Example:
  KEY=$(egret keys create ci --expiration 24h)
  egret keys`
}

type keysListCmd struct {
	target
	outFlag
}

type key struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Description    string `json:"description,omitempty"`
	CreationDate   string `json:"creationDate"`
	ExpirationDate string `json:"expirationDate"`
	Status         string `json:"status"`
}

// Help is the long help of the command.
func (*keysListCmd) Help() string {
	return `Example:
  egret keys`
}

// Run lists.
func (c *keysListCmd) Run(w *world) error {
	var out []key
	if err := c.call(w.ctx, http.MethodGet, "/maas-api/v1/api-keys", nil, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tSTATUS\tCREATED\tEXPIRES\tDESCRIPTION")
	for _, k := range out {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Status, k.CreationDate, k.ExpirationDate, k.Description)
	}
	return t.Flush()
}

type keysCreateCmd struct {
	target
	Name        string `arg:"" help:"What the key is for."`
	Description string `help:"More about it."`
	Expiration  string `default:"720h" help:"Lifetime, at least 10m."`
	outFlag
}

// Help is the long help of the command.
func (*keysCreateCmd) Help() string {
	return `Example:
  KEY=$(egret keys create ci --expiration 24h)`
}

// Run prints the token alone, or the whole answer with -o json.
func (c *keysCreateCmd) Run(w *world) error {
	in := map[string]string{"name": c.Name, "expiration": c.Expiration}
	if c.Description != "" {
		in["description"] = c.Description
	}
	var out map[string]any
	if err := c.call(w.ctx, http.MethodPost, "/maas-api/v1/api-keys", in, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	fmt.Fprintln(w.stdout, out["token"])
	return nil
}

type keysRevokeCmd struct {
	target
	ID string `arg:"" help:"The key's id, as egret keys lists it."`
}

// Help is the long help of the command.
func (*keysRevokeCmd) Help() string {
	return `Example:
  egret keys revoke 7a0c5c1e-6f0e-4c55-9a53-0d9d3b0d3f1a`
}

// Run revokes.
func (c *keysRevokeCmd) Run(w *world) error {
	if err := c.call(w.ctx, http.MethodDelete, "/maas-api/v1/api-keys/"+url.PathEscape(c.ID), nil, nil); err != nil {
		return err
	}
	fmt.Fprintln(w.stdout, "the key is revoked")
	return nil
}

// modelsCmd lists models.
type modelsCmd struct {
	target
	outFlag
}

type model struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
	URL     string `json:"url,omitempty"`
	Ready   bool   `json:"ready"`
}

// Help is the long help of the command.
func (*modelsCmd) Help() string {
	return `Example:
  egret models`
}

// Run lists.
func (c *modelsCmd) Run(w *world) error {
	var out struct {
		Data []model `json:"data"`
	}
	if err := c.call(w.ctx, http.MethodGet, "/v1/models", nil, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "MODEL\tOWNED BY\tREADY\tURL")
	for _, m := range out.Data {
		fmt.Fprintf(t, "%s\t%s\t%t\t%s\n", m.ID, m.OwnedBy, m.Ready, m.URL)
	}
	return t.Flush()
}

// usageCmd reads the ledger.
type usageCmd struct {
	page
	Since time.Duration `default:"24h" help:"How far back."`
	By    []string      `default:"user,model" help:"Group by user, model, tier, route, day, hour."`
	User  string        `help:"Only this user."`
	Model string        `help:"Only this model."`
	Tier  string        `help:"Only this tier."`
	outFlag
}

// Help is the long help of the command.
func (*usageCmd) Help() string {
	return `Example:
  egret usage --since 1h --by user,model`
}

// Run prints a table.
func (c *usageCmd) Run(w *world) error {
	q := url.Values{"since": {c.Since.String()}, "by": {strings.Join(c.By, ",")}, "user": {c.User}, "model": {c.Model}, "tier": {c.Tier}}
	var out admin.Usage
	if err := c.call(w.ctx, http.MethodGet, "/usage?"+q.Encode(), nil, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tREQUESTS\tFAILED\tINPUT\tOUTPUT\tTOTAL\tESTIMATED\t\n", strings.ToUpper(strings.Join(out.By, "\t")))
	for _, r := range out.Rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", strings.Join(r.Group, "\t"), r.Requests, r.Failed, r.Input, r.Output, r.Total, r.Estimated)
	}
	return t.Flush()
}

// explainCmd asks a running Egret.
type explainCmd struct {
	page
	Gateway string            `default:"openshift-ingress/maas-default-gateway" placeholder:"NS/NAME" help:"The gateway that is asked."`
	Port    int32             `help:"Its port; default the first."`
	Method  string            `short:"X" default:"POST" help:"Method of the request."`
	Host    string            `default:"localhost" help:"Host of the request."`
	Path    string            `arg:"" help:"Path of the request."`
	Header  map[string]string `short:"H" placeholder:"NAME=VALUE" help:"Header of the request. May be repeated." mapsep:"none"`
	Token   string            `placeholder:"TOKEN" help:"Ask as the holder of this token."`
	User    string            `help:"Ask as this user id, without a token."`
	Tier    string            `help:"With --user: the tier."`
	outFlag
}

// Help is the long help of the command.
func (*explainCmd) Help() string {
	return `Says route, policies that won and lost, limits and what is left of them, backend, TLS and credential, without sending anything.

Example:
  egret explain /external/v1/chat/completions --user kube-admin-81378af5 --tier free`
}

// Run prints the explanation.
func (c *explainCmd) Run(w *world) error {
	q := admin.Question{Gateway: c.Gateway, Port: c.Port, Method: c.Method, Host: c.Host, Path: c.Path, Headers: c.Header}
	if c.Token != "" {
		if q.Headers == nil {
			q.Headers = map[string]string{}
		}
		q.Headers["Authorization"] = "Bearer " + c.Token
	}
	if c.Tier != "" && c.User == "" {
		return errors.New("--tier goes with --user: a tier alone is nobody")
	}
	if c.User != "" {
		q.Identity = map[string]any{"userid": c.User, "tier": c.Tier}
	}
	var out admin.Answer
	if err := c.call(w.ctx, http.MethodPost, "/explain", q, &out); err != nil {
		return err
	}
	if c.Out == "json" {
		return printJSON(w, out)
	}
	explain(w, &out)
	return nil
}

func explain(w *world, a *admin.Answer) {
	t := tabwriter.NewWriter(w.stdout, 0, 4, 2, ' ', 0)
	line := func(name string, parts ...string) {
		parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
		fmt.Fprintf(t, "%s\t%s\n", name, strings.Join(parts, " "))
	}
	line("verdict", a.Verdict)
	line("plan", a.Plan)
	if a.Route != "" {
		line("route", a.Route, "(rule "+a.Rule+", listener "+a.Listener+")")
	}
	for _, l := range a.Listens {
		line("listens", l)
	}
	if p := a.Policy; p != nil {
		if p.Auth != "" {
			line("auth policy", p.Auth, "with", strings.Join(p.Authentication, ", "))
		}
		line("caller", known("subject", p.Subject), known("user", p.User), known("tier", p.Tier))
	}
	for _, l := range a.Lost {
		line("lost", l)
	}
	for _, l := range a.Limits {
		if !l.Applies {
			line("limit", l.Name, "of", l.Source, "does not apply")
			continue
		}
		line("limit", l.Name, "of", l.Source+":", fmt.Sprint(l.Left), "of", fmt.Sprint(l.Max), l.Unit, "left per", l.Window+", resets in", l.Reset)
	}
	for _, b := range a.Targets {
		share := "weight " + fmt.Sprint(b.Weight)
		if b.Model != "" {
			share = "model " + b.Model
		}
		line("backend", b.Object, strings.Join(b.Address, ", "), share, b.Fault)
		line("  sends", "Host "+b.Host, "path "+b.Path)
		line("  TLS", b.TLS)
		line("  credential", b.Credential)
	}
	t.Flush()
}

// known is a value with its name, or nothing when there is none.
func known(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}
