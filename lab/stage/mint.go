//go:build cluster

package stage

import (
	"encoding/json"
	"testing"
)

// Mint returns a MaaS token, valid for an hour, of somebody new.
func (s *Stage) Mint(t testing.TB) string {
	t.Helper()
	login := s.Person(t)
	var minted struct{ Token string }
	s.Eventually(t, soon, "a MaaS token", func() error {
		a, err := s.Post(s.URL("/maas-api/v1/tokens"), `{"expiration": "1h"}`, "Authorization: Bearer "+login)
		if err := a.Want(201, err); err != nil {
			return err
		}
		return json.Unmarshal([]byte(a.Body), &minted)
	})
	return minted.Token
}
