//go:build cluster

package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"google.golang.org/grpc"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/lab/apiserver"
	"github.com/egret-gateway/egret/lab/apiserver/pods"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
)

// tell has a pod say what is in a book.
func (r *replica) tell(p *pods.Pod, book *sight.Book) (stop func()) {
	r.w.Helper()
	options, err := p.Sign(r.w.Context())
	if err != nil {
		r.w.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+r.address, options...)
	if err != nil {
		r.w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.w.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&feed.Teller{Node: p.Node, Book: book}).Tell(ctx, conn) }()
	return func() {
		cancel()
		<-ended
		conn.Close()
	}
}

func testSights(t *testing.T) {
	w := newWorld(t, source.ControllerEgret)
	w.gateway("one", "egret", source.PlaneNative)
	destinations := "/apis/ainetworking.prototype.x-k8s.io/v0alpha0/namespaces/" + w.ns + "/xbackenddestinations"
	w.do("POST", destinations, "{apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0, kind: XBackendDestination, metadata: {name: partner}, spec: {destination: {type: Fqdn, "+
		"fqdn: {hostname: api.example.com}, ports: [{number: 443, protocol: HTTP, tls: {mode: Simple}}]}}}")
	w.do("POST", w.api("httproutes"), fmt.Sprintf(objects, "HTTPRoute", "called", "parentRefs: [{name: one}], rules: [{backendRefs: "+
		"[{group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination, name: partner, port: 443}]}]"))
	w.authenticate("called")
	c, p := w.run(), w.pod("one", source.PlaneNative)
	c.join(p)
	w.awaitProgrammed("one", "True", "Programmed")

	object := "XBackendDestination " + w.ns + "/partner"
	book := &sight.Book{}
	book.Use(&plan.Plan{Backends: []plan.Backend{{Name: "b", Object: object, Host: "api.example.com", TLS: &plan.ClientTLS{}}}})
	stop := c.tell(p, book)
	told := func(typ string) metav1.Condition {
		d := apiserver.Read[v0alpha0.XBackendDestination](t, server, destinations+"/partner")
		for _, s := range d.Status.Controllers {
			if c := conditionIn(s.Conditions, typ, d.Generation); s.Name == source.ControllerEgret && c.Type != "" {
				return c
			}
		}
		return metav1.Condition{}
	}
	await := func(typ, status, reason, words string) {
		t.Helper()
		w.await(typ+" "+status, func() bool {
			c := told(typ)
			return string(c.Status) == status && c.Reason == reason && strings.Contains(c.Message, words)
		})
	}
	of := func(kind, name string) []corev1.Event {
		return apiserver.Read[corev1.EventList](t, server, w.core("events")+"?fieldSelector=involvedObject.name%3D"+name+",involvedObject.kind%3D"+kind).Items
	}

	t.Run("gateway-118 what a pod sees of a backend is in its status, and an Event when it is bad", func(t *testing.T) {
		book.Of("b").Unreached(time.Now(), "x509: certificate has expired")
		await("egret.dev/Connected", "False", "NoConnection", "certificate has expired (last seen 20")
		w.await("Event", func() bool { return len(of("XBackendDestination", "partner")) > 0 })
		if got := of("XBackendDestination", "partner")[0]; got.Reason != "NoConnection" || !strings.Contains(got.Message, "certificate has expired") || got.Type != corev1.EventTypeWarning {
			t.Errorf("%+v", got)
		}
		if c := told("Available"); c.Status != "True" {
			t.Errorf("what was promised is %+v", c)
		}
		book.Of("b").Answered(time.Now(), time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC))
		await("egret.dev/Connected", "True", "Answers", "certificate ends at 2099-01-02T03:04:05Z")
		book.Of("b").Refused(time.Now(), "The provider answers 401 to credential key.")
		await("egret.dev/Authenticated", "False", "CredentialRefused", "401")
	})
	t.Run("gateway-118 calls that a policy refuses are an Event of the policy", func(t *testing.T) {
		for range 3 {
			book.Turned(time.Now(), "AuthPolicy "+w.ns+"/called", "unauthenticated", 401, "no credential")
		}
		w.await("Event", func() bool { return len(of("AuthPolicy", "called")) > 0 })
		if got := of("AuthPolicy", "called"); len(got) != 1 || got[0].Reason != "Refused" || !strings.Contains(got[0].Message, "3 calls were refused, the last with 401 (unauthenticated): no credential") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("another controller that has heard nothing yet takes nothing back", func(t *testing.T) {
		stop()
		c.stop()
		c = w.run()
		c.join(p)
		w.route("later", "one", "example.com")
		w.await("status", func() bool { return w.accepted("later", "one").Status == "True" })
		if c := told("egret.dev/Connected"); c.Status != "True" || !strings.Contains(c.Message, "2099") {
			t.Errorf("%+v", c)
		}
	})
	t.Run("who signs in as another Gateway's pod is not heard", func(t *testing.T) {
		w.gateway("two", "egret", source.PlaneNative)
		other := w.pod("two", source.PlaneNative)
		c.join(other)
		other.Node = p.Node
		stop := c.tell(other, book)
		defer stop()
		book.Of("b").Unreached(time.Now(), "a lie")
		w.route("after", "one", "example.com")
		w.await("status", func() bool { return w.accepted("after", "one").Status == "True" })
		if c := told("egret.dev/Connected"); c.Status != "True" {
			t.Errorf("%+v", c)
		}
	})
}
