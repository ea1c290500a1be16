//go:build cluster

package stage

import "testing"

// Redis starts a Redis without a disk as Deployment and Service "redis" of a
// namespace and returns its URL for key "counters" of the settings.
func (s *Stage) Redis(t testing.TB, namespace string) string {
	t.Helper()
	return s.counters(t, namespace, "redis", "docker.io/library/redis:7")
}

// Valkey is Redis by another name.
func (s *Stage) Valkey(t testing.TB, namespace string) string {
	t.Helper()
	return s.counters(t, namespace, "valkey", "docker.io/valkey/valkey:latest")
}

func (s *Stage) counters(t testing.TB, namespace, name, image string) string {
	t.Helper()
	s.Apply(t, deployment(namespace, name, image, "6379", `["`+name+`-server", "--protected-mode", "no", "--save", "", "--appendonly", "yes", "--dir", "/data"]`, "[]", "/data"))
	s.Rolled(t, namespace, name)
	return "redis://" + name + "." + namespace + ".svc.cluster.local:6379"
}

// Postgres starts a PostgreSQL as Deployment and Service "postgres" of a
// namespace and returns its URL for key "ledger" of the settings, and for the
// MaaS API. It keeps its data while its pod lives, whatever becomes of its
// containers.
func (s *Stage) Postgres(t testing.TB, namespace string) string {
	t.Helper()
	env := `[{name: POSTGRES_USER, value: egret}, {name: POSTGRES_PASSWORD, value: egret}, {name: POSTGRES_DB, value: egret}]`
	s.Apply(t, deployment(namespace, "postgres", "docker.io/library/postgres:15", "5432", "", env, "/var/lib/postgresql/data"))
	s.Rolled(t, namespace, "postgres")
	return "postgres://egret:egret@postgres." + namespace + ".svc.cluster.local:5432/egret?sslmode=disable"
}

// Settings makes Secret egret-settings of the controllers that are there; ""
// leaves a key out. Pods roll with it.
func (s *Stage) Settings(t testing.TB, counters, ledger string) {
	t.Helper()
	for _, ns := range []string{"egret-system", "ai-gateway-system"} {
		if s.Kubectl(t, "get", "namespace", ns, "--ignore-not-found", "-o", "name") == "" {
			continue
		}
		data := ""
		if counters != "" {
			data += "  counters: " + counters + "\n"
		}
		if ledger != "" {
			data += "  ledger: " + ledger + "\n"
		}
		s.Apply(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: egret-settings, namespace: "+ns+"}\nstringData:\n"+data)
	}
}

func deployment(namespace, name, image, port, command, env, data string) string {
	args := ""
	if command != "" {
		args = "\n          args: " + command
	}
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `, namespace: ` + namespace + `}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 999, runAsGroup: 999, fsGroup: 999}
      terminationGracePeriodSeconds: 5
      volumes: [{name: data, emptyDir: {}}]
      containers:
        - name: ` + name + `
          image: ` + image + args + `
          env: ` + env + `
          ports: [{containerPort: ` + port + `}]
          readinessProbe: {tcpSocket: {port: ` + port + `}, periodSeconds: 1}
          resources: {requests: {cpu: 100m}} # of a machine that others use as well; without it, nothing
          volumeMounts: [{name: data, mountPath: ` + data + `}]
---
apiVersion: v1
kind: Service
metadata: {name: ` + name + `, namespace: ` + namespace + `}
spec:
  selector: {app: ` + name + `}
  ports: [{port: ` + port + `}]
`
}
