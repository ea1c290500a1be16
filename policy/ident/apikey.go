package ident

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"sync/atomic"

	"github.com/egret-gateway/egret/plan"
)

// APIKeys identifies callers by keys held in Secrets (item "api_key").
//
// Keys are found by their SHA-256 digest: how long that takes says nothing
// about a key, since a caller cannot choose a digest. Secrets change without
// the policy changing, so each use checks that the Secret is still the one that
// was digested and, when not, digests them all again.
type APIKeys struct {
	refs    []plan.APIKeyRef
	secrets func(name string) *plan.Secret
	index   atomic.Pointer[keyIndex]
}

// keyIndex is an immutable view of all keys.
type keyIndex struct {
	byDigest map[[sha256.Size]byte]keyHolder
	seen     []*plan.Secret // by position in refs; nil = there was none
}

type keyHolder struct {
	ref      int
	identity *Identity
}

// NewAPIKeys makes APIKeys over refs. secrets gives the current Secret of a
// name, nil when there is none; such a key is nobody's.
func NewAPIKeys(refs []plan.APIKeyRef, secrets func(name string) *plan.Secret) *APIKeys {
	a := &APIKeys{refs: refs, secrets: secrets}
	a.index.Store(a.read())
	return a
}

// Identify says whose key it is. The error is a *Rejected.
func (a *APIKeys) Identify(key string) (*Identity, error) {
	digest := sha256.Sum256([]byte(key))
	index := a.index.Load()
	h, ok := index.byDigest[digest]
	if ok && a.secrets(a.refs[h.ref].Secret) == index.seen[h.ref] {
		return h.identity, nil
	}
	if a.unchanged(index) {
		return nil, rejected("no such key")
	}
	index = a.read()
	a.index.Store(index)
	if h, ok = index.byDigest[digest]; ok {
		return h.identity, nil
	}
	return nil, rejected("no such key")
}

func (a *APIKeys) unchanged(index *keyIndex) bool {
	for i, r := range a.refs {
		if a.secrets(r.Secret) != index.seen[i] {
			return false
		}
	}
	return true
}

func (a *APIKeys) read() *keyIndex {
	index := &keyIndex{byDigest: map[[sha256.Size]byte]keyHolder{}, seen: make([]*plan.Secret, len(a.refs))}
	for i, r := range a.refs {
		s := a.secrets(r.Secret)
		index.seen[i] = s
		if s == nil {
			continue
		}
		key := s.Item("api_key")
		digest := sha256.Sum256(key)
		if _, taken := index.byDigest[digest]; taken || len(key) == 0 {
			continue // the first by name holds it
		}
		var object any
		if json.Unmarshal(r.Identity, &object) != nil {
			object = map[string]any{}
		}
		name := r.Secret[strings.LastIndexByte(r.Secret, '/')+1:]
		index.byDigest[digest] = keyHolder{ref: i, identity: &Identity{Object: object, Subject: name}}
	}
	return index
}
