package sim

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// maxAdapters bounds how many adapters can be loaded.
const maxAdapters = 1024

// adapters are the LoRA adapters that requests may name as their model, in the order they were loaded.
type adapters struct {
	mu     sync.Mutex
	loaded []Adapter
}

func newAdapters(list []Adapter) *adapters {
	a := &adapters{}
	for _, m := range list {
		a.load(m)
	}
	return a
}

// load adds an adapter, or replaces the one of its name. It reports false when there are too many.
func (a *adapters) load(m Adapter) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.index(m.Name); i >= 0 {
		a.loaded[i] = m
		return true
	}
	if len(a.loaded) >= maxAdapters {
		return false
	}
	a.loaded = append(a.loaded, m)
	return true
}

func (a *adapters) unload(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.index(name); i >= 0 {
		a.loaded = slices.Delete(a.loaded, i, i+1)
	}
}

func (a *adapters) has(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.index(name) >= 0
}

func (a *adapters) list() []Adapter {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.loaded)
}

func (a *adapters) index(name string) int {
	return slices.IndexFunc(a.loaded, func(m Adapter) bool { return m.Name == name })
}

// resolve tells what a request's model is: the name that answers show, and the adapter or "" for the base model.
func (k *rank) resolve(model string) (shown, adapter string, failed *failure) {
	switch {
	case slices.Contains(k.cfg.ServedModelName, model):
		return k.cfg.ServedModelName[0], "", nil
	case k.adapters.has(model):
		return model, model, nil
	}
	return "", "", unknownModel(model)
}

func (k *rank) serves(model string) bool {
	_, _, failed := k.resolve(model)
	return failed == nil
}

func unknownModel(model string) *failure {
	return refuse(http.StatusNotFound, "The model `%s` does not exist.", model)
}

// models lists the served names, then the adapters.
func (k *rank) models(w http.ResponseWriter, _ *http.Request) {
	now := k.cfg.Now().Unix()
	list := cards{Object: "list", Data: []card{}}
	for _, name := range k.cfg.ServedModelName {
		list.Data = append(list.Data, card{ID: name, Object: "model", Created: now, OwnedBy: "vllm", Root: name})
	}
	parent := k.cfg.ServedModelName[0]
	for _, a := range k.adapters.list() {
		list.Data = append(list.Data, card{ID: a.Name, Object: "model", Created: now, OwnedBy: "vllm", Root: a.Name, Parent: &parent})
	}
	writeJSON(w, http.StatusOK, list)
}

func (k *rank) loadAdapter(w http.ResponseWriter, r *http.Request) {
	m, failed := readAdapter(w, r)
	if failed == nil && !k.adapters.load(m) {
		failed = refuse(http.StatusBadRequest, "%d adapters are loaded, which is the most: unload one first", maxAdapters)
	}
	if failed != nil {
		failed.write(w)
	}
}

func (k *rank) unloadAdapter(w http.ResponseWriter, r *http.Request) {
	m, failed := readAdapter(w, r)
	if failed != nil {
		failed.write(w)
		return
	}
	k.adapters.unload(m.Name)
}

func readAdapter(w http.ResponseWriter, r *http.Request) (Adapter, *failure) {
	body, failed := readBody(w, r)
	if failed != nil {
		return Adapter{}, failed
	}
	var q struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return Adapter{}, unreadable("%v", err)
	}
	if q.Name == "" {
		return Adapter{}, unreadable("lora_name is missing")
	}
	return Adapter{Name: q.Name, Path: q.Path}, nil
}
