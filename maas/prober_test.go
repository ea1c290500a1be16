package maas

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestServiceName(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		if got := serviceName(host); got != want {
			t.Errorf("serviceName(%q) = %v, want %v", host, got, want)
		}
	}
	f("m.llm.svc", true)
	f("m.llm.svc.cluster.local", true)
	f("M.LLM.SVC.cluster.local.", true)
	f("svc", false)
	f("m.svc.example.com", false)
	f("m.llm.svc.cluster.local.example.com", false)
	f("10.0.0.1", false)
}

func TestRefuseMetadata(t *testing.T) {
	f := func(address string, want bool) {
		t.Helper()
		if got := refuseMetadata("tcp", address, nil) != nil; got != want {
			t.Errorf("refused %s: %v, want %v", address, got, want)
		}
	}
	f("169.254.169.254:80", true)
	f("[fe80::1]:80", true)
	f("[::ffff:169.254.169.254]:80", true)
	f("0.0.0.0:80", true)
	f("[::]:80", true)
	f("[64:ff9b::a9fe:a9fe]:80", true)
	f("[::169.254.169.254]:80", true)
	f("[fd00:ec2::254]:80", true)
	f("100.100.100.200:80", true)
	f("168.63.129.16:80", true)
	f("127.0.0.1:80", false)
	f("10.1.2.3:443", false)
	f("[fd00::1]:443", false)
}

func TestProbeCertificates(t *testing.T) {
	model := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away/v1/models" {
			http.Redirect(w, r, "/v1/models", http.StatusFound)
			return
		}
		io.WriteString(w, `{"data":[{"id":"m"}]}`)
	}))
	model.Config.ErrorLog = log.New(io.Discard, "", 0)
	model.StartTLS()
	defer model.Close()
	f := func(name string, verify Verify, path string, want bool) {
		t.Run(name, func(t *testing.T) {
			p := &Prober{Verify: verify}
			list, final, err := p.once(t.Context(), model.URL+path, "token", "name")
			if got := final && len(list) == 1; got != want {
				t.Errorf("list %v, %v, error %v; want a list: %v", list, final, err, want)
			}
		})
	}
	f("an address that is no Service", VerifyOutside, "", false)
	f("all are verified", VerifyAll, "", false)
	f("none is verified", VerifyNone, "", true)
	f("a redirect is not followed", VerifyNone, "/away", false)

	for host, want := range map[string]bool{"http://m.llm.svc/": true, "http://m.example/": false} {
		p := &Prober{}
		req, err := http.NewRequest(http.MethodGet, host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.transport(req.URL) == p.loose; got != want {
			t.Errorf("%s is trusted blindly: %v, want %v", host, got, want)
		}
		if got := (&Prober{Verify: VerifyAll}); got.transport(req.URL) != got.checked {
			t.Errorf("%s is not verified although all are", host)
		}
	}
}
