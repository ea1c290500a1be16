//go:build cluster

package share

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const apiPods = "app.kubernetes.io/name=maas-api"

// twoAPIs gives the MaaS API a database and a second pod, and waits for
// neither.
func (w *scene) twoAPIs(t *testing.T, database string) {
	t.Helper()
	w.Kubectl(t, "set", "env", "deployment/maas-api", "-n", "opendatahub", "STORAGE_MODE=external", "DB_MAX_OPEN_CONNS=4", "DB_CONNECTION_URL="+database)
	w.Kubectl(t, "scale", "deployment/maas-api", "-n", "opendatahub", "--replicas=2")
}

// api is one pod of the MaaS API, asked as the gateway asks it.
type api struct {
	*scene
	pod, url, proof string
}

func (w *scene) apis(t *testing.T) (list []api) {
	t.Helper()
	proof := w.Token(t, "openshift-ingress", "egret-openshift-ingress-maas-default-gateway", "maas-api")
	w.Eventually(t, soon, "two pods of the MaaS API", func() error {
		list = nil
		for line := range strings.Lines(w.Kubectl(t, "get", "pods", "-n", "opendatahub", "-l", apiPods, "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.status.podIP} {.status.containerStatuses[0].ready}{"\n"}{end}`)) {
			if f := strings.Fields(line); len(f) == 3 && f[2] == "true" {
				list = append(list, api{w, f[0], "http://" + f[1] + ":8080", proof})
			}
		}
		if len(list) != 2 {
			return fmt.Errorf("there are %d", len(list))
		}
		return nil
	})
	return list
}

// send asks for somebody; what the answer has goes into out.
func (a api) send(t *testing.T, method, path, body string, want int, out any) {
	t.Helper()
	got, err := a.Do(method, a.url+path, body, "X-MaaS-Proof: "+a.proof, "X-MaaS-Username: alice", `X-MaaS-Group: ["system:authenticated"]`)
	if err := got.Want(want, err); err != nil {
		t.Fatalf("%s %s of pod %s: %v", method, path, a.pod, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(got.Body), out); err != nil {
		t.Fatalf("%s: %v", got.Body, err)
	}
}

type key struct{ ID, Status string }

// keys makes, lists and revokes keys through whichever pod.
func (w *scene) keys(t *testing.T) {
	w.Rolled(t, "opendatahub", "maas-api")
	both := w.apis(t)
	one, other := both[0], both[1]
	var made, kept struct{ Token, JTI string }
	one.send(t, "POST", "/v1/api-keys", `{"name": "first"}`, 201, &made)
	other.send(t, "POST", "/v1/api-keys", `{"name": "second"}`, 201, &kept)
	lists := func(t *testing.T, want ...key) {
		t.Helper()
		for _, a := range w.apis(t) {
			var got []key
			if a.send(t, "GET", "/v1/api-keys", "", 200, &got); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("pod %s has %v, want %v", a.pod, got, want)
			}
		}
	}
	models := func(token string, want int) error {
		a, err := w.Get(w.URL("/v1/models"), "Authorization: Bearer "+token)
		return a.Want(want, err)
	}
	t.Run("maas-50 maas-51 maas-53 a key made through one is known to the other and works", func(t *testing.T) {
		lists(t, key{kept.JTI, "active"}, key{made.JTI, "active"})
		for _, k := range []string{made.Token, kept.Token} {
			if err := models(k, 200); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("maas-56 a key is revoked through the other, at once", func(t *testing.T) {
		other.send(t, "DELETE", "/v1/api-keys/"+made.JTI, "", 204, nil)
		if err := models(made.Token, 401); err != nil {
			t.Error(err)
		}
		lists(t, key{kept.JTI, "active"}, key{made.JTI, "expired"})
	})
	t.Run("maas-57 keys outlive the processes, and what is revoked stays so", func(t *testing.T) {
		for _, a := range both {
			w.KillContainer(t, "opendatahub", a.pod, "")
		}
		lists(t, key{kept.JTI, "active"}, key{made.JTI, "expired"})
		w.Eventually(t, 15*time.Second, "the gateway reaches the API again", func() error { return models(kept.Token, 200) })
		if err := models(made.Token, 401); err != nil {
			t.Error(err)
		}
	})
	t.Run("maas-41 maas-42 maas-55 all tokens of a person end through either", func(t *testing.T) {
		one.send(t, "DELETE", "/v1/tokens", "", 204, nil)
		if err := models(kept.Token, 401); err != nil {
			t.Error(err)
		}
		lists(t, key{kept.JTI, "expired"}, key{made.JTI, "expired"})
	})
}
