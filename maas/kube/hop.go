package kube

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/source"
)

// proofTTL is how long a proof counts before it is reviewed again.
const proofTTL = time.Minute

// hop lets gateways through to the API and nobody else.
type hop struct {
	next     http.Handler
	source   ident.Source
	proofs   *ident.Cache
	accounts map[string]bool // usernames whose proof counts
	log      *slog.Logger
}

// newHop guards next. Proofs are remembered by digest until they end, a minute
// at most.
func newHop(next http.Handler, c maas.Config, from ident.Source, log *slog.Logger) *hop {
	h := &hop{next: next, source: from, proofs: ident.NewCache(1000, 4<<20), accounts: map[string]bool{}, log: log}
	accounts := c.GatewayAccounts
	if len(accounts) == 0 {
		accounts = fleetAccounts(c.GatewayNamespace, c.GatewayName)
	}
	for _, a := range accounts {
		h.accounts["system:serviceaccount:"+strings.ReplaceAll(a, "/", ":")] = true
	}
	return h
}

// fleetAccounts are the ServiceAccounts that a Gateway gets, whichever of our
// controllers serves its class. Who may make a ServiceAccount of that name in
// the Gateway's namespace may change the Gateway's pods as well.
func fleetAccounts(namespace, name string) (list maas.Accounts) {
	for _, controller := range []string{source.ControllerEgret, source.ControllerWG} {
		list = append(list, namespace+"/"+source.ResourceName(source.Class{Controller: controller}, namespace, name))
	}
	return list
}

// open reports whether a request needs no proof: the kubelet's probe.
func open(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path == "/health" }

func (h *hop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !open(r) && !h.proved(w, r) {
		return
	}
	r.Header.Del(plan.ProofHeader)
	h.next.ServeHTTP(w, r)
}

// proved reports whether the request comes from a gateway, and answers it when
// it does not.
func (h *hop) proved(w http.ResponseWriter, r *http.Request) bool {
	proofs := r.Header.Values(plan.ProofHeader)
	if len(proofs) != 1 || proofs[0] == "" || len(proofs[0]) > ident.MaxCredential {
		h.refuse(w, r, http.StatusUnauthorized, "it carries no proof that it comes from the gateway")
		return false
	}
	id, _, err := h.proofs.Identify(r.Context(), &h.source, ident.Question{
		Rule: "hop", Token: proofs[0], Audiences: []string{source.ProofAudience}, TTL: proofTTL,
	})
	var bad *ident.Rejected
	switch {
	case errors.As(err, &bad):
		h.refuse(w, r, http.StatusUnauthorized, "its proof is not good: "+bad.Reason)
	case err != nil:
		h.refuse(w, r, http.StatusInternalServerError, err.Error())
	case !h.accounts[id.Subject]:
		h.refuse(w, r, http.StatusUnauthorized, "its proof is that of "+id.Subject+", which is no gateway; see --gateway-accounts")
	default:
		return true
	}
	return false
}

func (h *hop) refuse(w http.ResponseWriter, r *http.Request, code int, why string) {
	h.log.Warn("a request past the gateway is refused", "path", r.URL.Path, "from", r.RemoteAddr, "statusCode", code, "reason", why)
	text := "Call the API through its gateway"
	if code != http.StatusUnauthorized {
		text = "The gateway's identity cannot be checked now"
	}
	body, err := json.Marshal(api.Error{Error: text})
	if err != nil {
		panic("BUG: an error of the API is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(body) // that the client has gone concerns nobody
}
