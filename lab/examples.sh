#!/usr/bin/env bash
# egret check on everything installable and on every example. The certificate
# that a platform brings along stands in lab/testdata, and in its folder beside
# what the guides of examples make or have there already.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-bin/egret}
echo "check manifests"
"$bin" check --quiet -k manifests/maas -f manifests/common -f manifests/openshift -f lab/testdata/gateway-certificate.yaml
for dir in examples/*/; do
  echo "check $dir"
  beside=()
  if grep -qs "name: maas-default-gateway" "$dir"*.yaml; then # its routes hang on the gateways of the platform
    beside=(-k manifests/maas -f manifests/common -f lab/testdata/gateway-certificate.yaml)
  fi
  brought="lab/testdata/beside/$(basename "$dir").yaml"
  if [ -f "$brought" ]; then
    beside+=(-f "$brought")
  fi
  "$bin" check --quiet "${beside[@]}" -f "$dir"
done
