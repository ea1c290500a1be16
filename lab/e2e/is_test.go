//go:build cluster

package e2e

import "fmt"

// is says what is there in the place of what should be.
func is(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}
