package engine

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
)

// TestAuthenticated: what of an answer says that the provider does not take the
// platform's credential, so that a caller cannot make it look refused.
func TestAuthenticated(t *testing.T) {
	aws := plan.Account{Name: "aws", Namespace: "g", Scheme: plan.SchemeAWS, Secret: "s", ID: "a", Key: "b", AWS: &plan.AWS{Region: "us-east-1", Service: "bedrock"}}
	f := func(a plan.Account, status int, kind string, good bool) {
		t.Run(fmt.Sprintf("gateway-118 %d %s to %s", status, kind, a.Scheme), func(t *testing.T) {
			w := newWorld(t, onePlan())
			w.deps.Sight = &sight.Book{}
			if err := w.Load(keyed([]plan.Account{a})); err != nil {
				t.Fatal(err)
			}
			answer := func(h ResponseHead) {
				x, step := w.Begin(t.Context(), get("/"))
				defer x.End(t.Context(), Done, 0)
				if step == NeedBody {
					x.Body(t.Context(), nil)
				}
				if _, refusal := x.Attempt(1); refusal != nil {
					t.Fatal(refusal.Reason)
				}
				x.Response(h)
			}
			answer(ResponseHead{Status: 200})
			answer(ResponseHead{Status: status, Header: http.Header{"X-Amzn-Errortype": {kind}}})
			facts := w.deps.Sight.Facts()
			at := slices.IndexFunc(facts, func(f sight.Fact) bool { return f.Kind == sight.Authenticated })
			if at < 0 || facts[at].Good != good {
				t.Errorf("%+v", facts)
			}
		})
	}
	for _, kind := range []string{
		"UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "IncompleteSignature", "InvalidClientTokenId",
		"MissingAuthenticationTokenException", "SignatureDoesNotMatch", "UnrecognizedClientException:http://internal.amazon.com/coral/com.amazon.coral.service/",
	} {
		f(aws, 403, kind, false)
	}
	f(aws, 403, "AccessDeniedException", true)
	f(aws, 403, "", true)
	f(aws, 400, "ExpiredTokenException", true)
	f(aws, 401, "", false)
	f(bearerOf("a"), 403, "UnrecognizedClientException", true)
	f(bearerOf("a"), 401, "", false)
}
