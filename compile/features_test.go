package compile

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// What the classes claim is what the published reports of the conformance suite
// show, on both planes alike.
func TestFeatures(t *testing.T) {
	for _, class := range []string{"egret", "wg-ai-gateway"} {
		text, err := os.ReadFile("../docs/conformance/" + class + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		type result struct {
			Result            string
			Statistics        struct{ Failed, Skipped, Passed int }
			SupportedFeatures []gwv1.FeatureName
		}
		var report struct {
			GatewayAPIVersion string
			Profiles          []struct{ Core, Extended result }
		}
		if err := yaml.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		got := []gwv1.FeatureName{"Gateway", "HTTPRoute", "ReferenceGrant"} // core
		for _, p := range report.Profiles {
			got = append(got, p.Extended.SupportedFeatures...)
			for _, r := range []result{p.Core, p.Extended} {
				if r.Result != "success" || r.Statistics.Failed+r.Statistics.Skipped > 0 || r.Statistics.Passed == 0 {
					t.Errorf("%s: %s, %+v", class, r.Result, r.Statistics)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(got, Features()); diff != "" {
			t.Errorf("%s: reported (-) and claimed (+):\n%s", class, diff)
		}
	}
}
