package file

import "testing"

func TestAdmission(t *testing.T) {
	t.Run("B-02 the definition admits no destination whose type is not its member", func(t *testing.T) {
		const message = "spec.destination: type must name the field that is set: Fqdn needs fqdn, Service needs service"
		refused(t, backend(`{type: Fqdn, service: {name: a, namespace: b}, ports: [{number: 80, protocol: HTTP}]}`), message)
		refused(t, backend(`{type: Service, fqdn: {hostname: a}, ports: [{number: 80, protocol: HTTP}]}`), message)
	})
}
