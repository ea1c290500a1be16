#!/usr/bin/env bash
# The official OpenAI clients for Python and Node through `egret quickstart`.
# Needs python3 with venv, node and npm; what they install is kept outside the
# checkout. Prints what passed and fails when something did not.
set -euo pipefail
bin=$(realpath "${1:-bin/egret}")
cd "$(dirname "$0")"
source ./install.sh

work=$(mktemp -d)
egret=
trap 'if [ -n "$egret" ]; then kill "$egret" 2>/dev/null || true; wait "$egret" || true; fi; rm -rf "$work"' EXIT
# Each client gets a gateway of its own, with a budget that nobody has spent.
through() {
  rm -f "$work/env"
  "$bin" quickstart --env-file "$work/env" --http 127.0.0.1:0 --https 127.0.0.1:0 --admin 127.0.0.1:0 >"$work/log" 2>&1 &
  egret=$!
  for _ in $(seq 300); do
    [ -s "$work/env" ] && break
    sleep 0.1
  done
  [ -s "$work/env" ] || { echo "egret quickstart does not serve:"; cat "$work/log"; return 1; }
  local code=0
  (
    source "$work/env"
    TOKEN=$("$bin" token --expiration 10m)
    export TOKEN URL="https://$HOST" SSL_CERT_FILE="$CA_FILE" NODE_EXTRA_CA_CERTS="$CA_FILE"
    "$@"
  ) || code=$?
  kill "$egret"
  wait "$egret" || true
  egret=
  return "$code"
}

failed=0
through "$cache/python/bin/python" client.py || failed=1
through node "$cache/node/client.mjs" || failed=1
exit "$failed"
