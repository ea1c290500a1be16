package maas_test

import (
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/policy/ident/local"
)

var _ maas.Cluster = (*local.Realm)(nil)
