package maas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/maas"
)

func TestConfig(t *testing.T) {
	parse := func(env map[string]string, args ...string) (maas.Config, string, error) {
		var log bytes.Buffer
		c, err := maas.ParseConfig(args, func(name string) string { return env[name] }, &bytes.Buffer{},
			slog.New(slog.NewTextHandler(&log, nil)))
		return c, log.String(), err
	}
	type set = map[string]string
	f := func(name string, env set, args []string, change func(*maas.Config)) {
		t.Run(name, func(t *testing.T) {
			want := maas.DefaultConfig()
			change(&want)
			got, _, err := parse(env, args...)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, config (-want +got):\n%s", err, diff)
			}
		})
	}
	pair := maas.TLS{Cert: "c", Key: "k", MinVersion: "1.2"}
	f("nothing given", nil, nil, func(c *maas.Config) {})
	f("the instance follows GATEWAY_NAME", set{"GATEWAY_NAME": "g"}, nil, func(c *maas.Config) { c.GatewayName, c.Instance = "g", "g" })
	f("the instance does not follow the flag", nil, []string{"--gateway-name", "g"}, func(c *maas.Config) { c.GatewayName = "g" })
	f("a flag wins over a variable", set{"NAMESPACE": "a"}, []string{"--namespace=b"}, func(c *maas.Config) { c.Namespace = "b" })
	f("a truth value that is none", set{"DEBUG_MODE": "perhaps"}, nil, func(c *maas.Config) {})
	f("debug", set{"DEBUG_MODE": "true"}, nil, func(c *maas.Config) { c.Debug = true })
	f("a certificate implies TLS", set{"TLS_CERT": "c", "TLS_KEY": "k", "TLS_SELF_SIGNED": "true"}, nil,
		func(c *maas.Config) { c.TLS, c.Address = pair, ":8443" })
	f("self-signed implies TLS", nil, []string{"--tls-self-signed"},
		func(c *maas.Config) { c.TLS.SelfSigned, c.Address = true, ":8443" })
	f("TLS_MIN_VERSION wins over its flag", set{"TLS_MIN_VERSION": "1.3"}, []string{"--tls-min-version=1.2"},
		func(c *maas.Config) { c.TLS.MinVersion = "1.3" })
	f("PORT switches TLS off", set{"PORT": "9", "SECURE": "true", "TLS_SELF_SIGNED": "true"}, nil,
		func(c *maas.Config) { c.Address = ":9" })
	f("an address wins over PORT", set{"PORT": "9"}, []string{"--address=:1"}, func(c *maas.Config) { c.Address = ":1" })
	f("storage on disk", set{"STORAGE_MODE": "disk", "DATA_PATH": "/d"}, nil,
		func(c *maas.Config) { c.Storage, c.DataPath = maas.StorageDisk, "/d" })
	f("a wrong STORAGE_MODE is ignored", set{"STORAGE_MODE": "tape"}, nil, func(c *maas.Config) {})
	f("an empty --storage", nil, []string{"--storage="}, func(c *maas.Config) {})
	f("external storage", set{"DB_CONNECTION_URL": "postgres://u:p@h/d"}, []string{"--storage=external"},
		func(c *maas.Config) { c.Storage, c.DBURL = maas.StorageExternal, "postgres://u:p@h/d" })
	f("a longer chain", set{"CHAIN_LIMIT": "1h", "PROBE_VERIFY": "all"}, []string{"--chain-limit=48h"},
		func(c *maas.Config) { c.ChainLimit, c.ProbeVerify = 48*time.Hour, maas.VerifyAll })
	f("the hop is not proved", set{"GATEWAY_PROOF": "none"}, nil, func(c *maas.Config) { c.Proof = maas.ProofNone })
	f("other gateways", nil, []string{"--gateway-accounts=a/b, c/d"}, func(c *maas.Config) { c.GatewayAccounts = maas.Accounts{"a/b", "c/d"} })
	f("the gateway's certificate", set{"GATEWAY_CERTIFICATE": "tls"}, []string{"--gateway-host=h"},
		func(c *maas.Config) { c.GatewayCertificate, c.GatewayHost = "tls", "h" })
	f("a kubeconfig", set{"KUBECONFIG": "a"}, []string{"--kubeconfig", "b"}, func(c *maas.Config) { c.Kubeconfig = "b" })
	f("no verification", nil, []string{"--probe-verify=none"}, func(c *maas.Config) { c.ProbeVerify = maas.VerifyNone })

	refused := func(name string, env set, want string, args ...string) {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parse(env, args...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
	refused("maas-58 external without a URL", nil, "needs --db-connection-url", "--storage=external")
	refused("maas-58 external with another database", nil, "must begin with postgresql://", "--storage=external", "--db-connection-url=mysql://u:p@h/d")
	refused("a wrong --storage", nil, `--storage is "tape"`, "--storage=tape")
	refused("secure without a certificate", set{"SECURE": "true"}, "--secure needs")
	refused("half a certificate", set{"TLS_CERT": "c"}, "give both or neither")
	refused("the other half", nil, "give both or neither", "--tls-key=k")
	refused("an old TLS", nil, `--tls-min-version is "1.1"`, "--tls-min-version=1.1")
	refused("no name", nil, "--name must not be empty", "--name=")
	refused("no chain", nil, "--chain-limit is 0s", "--chain-limit=0")
	refused("a limit that is none", set{"CHAIN_LIMIT": "day"}, "CHAIN_LIMIT: ")
	refused("a verification that is none", set{"PROBE_VERIFY": "some"}, `PROBE_VERIFY: "some" is none of`)
	refused("an unknown flag", nil, "not defined", "--nmae=x")
	refused("an argument", nil, `unexpected argument "x"`, "x")

	t.Run("--port logs a warning", func(t *testing.T) {
		if _, log, err := parse(nil, "--port=9"); err != nil || !strings.Contains(log, "deprecated") {
			t.Errorf("error %v, log %q", err, log)
		}
	})
}

func TestDatabaseURLIsNotShown(t *testing.T) {
	c := maas.Config{DBURL: "postgres://u:secret@h/d"}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "url", c.DBURL)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %q", c, c, c.DBURL), string(asJSON), log.String()} {
		if strings.Contains(text, "secret") {
			t.Errorf("shown: %s", text)
		}
	}
}
