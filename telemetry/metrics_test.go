package telemetry

import (
	"fmt"
	"testing"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/engine"
)

// Names of models come from callers. Those of calls that cost nothing, because
// there is no such model, must not use up the names that are told apart.
func TestModelsThatDoNotExistUseUpNoLabels(t *testing.T) {
	m := NewMetrics()
	for i := range 10 * maxModels {
		m.Record(&engine.Record{Status: 404, Checked: true, Asked: fmt.Sprint("made-up-", i)})
	}
	m.Record(&engine.Record{Status: 200, Checked: true, Charged: true, Asked: "m", Served: "real", User: "u", Route: "ns/r", Usage: dialect.Usage{Total: 3}})
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]bool{}
	for _, f := range families {
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				if l.GetName() == "model" {
					models[l.GetValue()] = true
				}
			}
		}
	}
	if len(models) != 1 || !models["real"] {
		t.Errorf("%d models are told apart, want the one that answered", len(models))
	}
}
