package maas

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
)

const (
	// tierInfix stands between the instance and the tier in the name of a tier's namespace.
	tierInfix = "-tier-"
	// accountPrefix starts the username of every ServiceAccount.
	accountPrefix = "system:serviceaccount:"

	labelInstance = "maas.opendatahub.io/instance"
	labelTier     = "maas.opendatahub.io/tier"
	labelTierNS   = "maas.opendatahub.io/tier-namespace"

	maxAccountBase = 54 // characters of the name before "-" and eight hex digits: 63 in all
)

// AccountName returns the ServiceAccount name of a username: the name made fit
// for Kubernetes, cut to 54 characters, and eight hex digits of the SHA-1 of
// the original, which keep apart names that look alike once made fit
// (acceptance maas 33-35). It fails for a username without a letter or digit.
func AccountName(username string) (string, error) {
	var base strings.Builder
	for _, r := range strings.ToLower(username) {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			base.WriteRune(r)
		} else if s := base.String(); s != "" && !strings.HasSuffix(s, "-") {
			base.WriteByte('-')
		}
	}
	name := strings.TrimRight(base.String(), "-")
	if name == "" {
		return "", fmt.Errorf("invalid username %q", username)
	}
	if len(name) > maxAccountBase {
		name = strings.TrimRight(name[:maxAccountBase], "-")
	}
	sum := sha1.Sum([]byte(username))
	return name + "-" + hex.EncodeToString(sum[:4]), nil
}

// tierNamespace returns the namespace that holds the ServiceAccounts of a tier.
func tierNamespace(instance, tier string) string { return instance + tierInfix + tier }

// tierAccount takes apart the username of a ServiceAccount in a tier namespace
// of the instance; ok is false for every other username.
func tierAccount(instance, username string) (namespace, name, tier string, ok bool) {
	rest, found := strings.CutPrefix(username, accountPrefix)
	if !found {
		return "", "", "", false
	}
	namespace, name, found = strings.Cut(rest, ":")
	tier, inside := strings.CutPrefix(namespace, instance+tierInfix)
	ok = found && inside && tier != "" && name != "" && !strings.Contains(name, ":")
	return namespace, name, tier, ok
}

// accountLabels are carried by a tier's ServiceAccounts (acceptance maas 31).
func accountLabels(instance, tier string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/component": "token-issuer",
		"app.kubernetes.io/part-of":   "maas-api",
		labelInstance:                 instance,
		labelTier:                     tier,
	}
}

// namespaceLabels are carried by a tier's namespace.
func namespaceLabels(instance, tier string) map[string]string {
	labels := maps.Clone(accountLabels(instance, tier))
	labels[labelTierNS] = "true"
	return labels
}
