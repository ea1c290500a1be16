package compile

import "testing"

func TestOrder(t *testing.T) {
	t.Run("B-15 the same resources are the same plan, virtual hosts in order", func(t *testing.T) {
		s := tenants(t, 6)
		first, _ := Compile(s, Options{})
		for range 5 {
			if again, _ := Compile(s, Options{}); again.Hash() != first.Hash() {
				t.Fatal("a second plan of the same resources is another")
			}
		}
	})
}
