#!/usr/bin/env bash
# The official clients for Python and Node through `egret quickstart`: to its
# simulator, and to the fake vendors of lab/fake, with the platform's keys.
# Needs python3 with venv, node and npm, and Go; what they install is kept
# outside the checkout. Prints what passed and fails when something did not.
set -euo pipefail
bin=$(realpath "${1:-bin/egret}")
cd "$(dirname "$0")"
source ./install.sh
source ./serve.sh
python=$cache/python/bin/python

failed=0
through -- "$python" client.py || failed=1
through -- node "$cache/node/client.mjs" || failed=1

fakes
mkdir "$work/manifests"
cp ../../manifests/maas/base/*.yaml testdata/vendors.yaml "$work/manifests"
mapfile -t vendors < <("$python" keys.py "$work/manifests/platform.yaml")
through --manifests "$work/manifests" "${vendors[@]}" -- "$python" vendors.py || failed=1
through --manifests "$work/manifests" "${vendors[@]}" -- node "$cache/node/vendors.mjs" || failed=1
exit "$failed"
