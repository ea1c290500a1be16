#!/usr/bin/env bash
# The official clients for Python and Node on the fake vendors of lab/fake,
# with no gateway between: what proves the fakes right. Needs what run.sh
# needs, and Go.
set -euo pipefail
cd "$(dirname "$0")"
source ./install.sh

work=$(mktemp -d)
fakes=
trap 'if [ -n "$fakes" ]; then kill "$fakes" 2>/dev/null || true; wait "$fakes" || true; fi; rm -rf "$work"' EXIT
"${GO:-go}" build -o "$work/fakes" ../fake/cmd
"$work/fakes" -dir "$work" >"$work/where.json" 2>"$work/log" &
fakes=$!
for _ in $(seq 100); do
  [ -s "$work/where.json" ] && break
  sleep 0.1
done
[ -s "$work/where.json" ] || { echo "the fakes do not serve:"; cat "$work/log"; exit 1; }
FAKES=$(cat "$work/where.json")
export FAKES SSL_CERT_FILE="$work/vendors-ca.pem" NODE_EXTRA_CA_CERTS="$work/vendors-ca.pem"

failed=0
"$cache/python/bin/python" direct.py || failed=1
node "$cache/node/direct.mjs" || failed=1
exit "$failed"
