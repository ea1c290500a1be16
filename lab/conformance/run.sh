#!/usr/bin/env bash
# run.sh [CLASS [FLAGS...]]: the suite on the test cluster for one GatewayClass,
# or for both. FLAGS are the suite's, such as -run-test NAME or -debug; with them
# open.txt is not consulted. Log and report go to $OUT, by default beside the
# cluster's own files. The cluster is up and has the images (make cluster-up images);
# controllers and classes are installed, and removed when all is done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cluster=$PWD/../cluster/cluster.sh
KUBECONFIG=$("$cluster" kubeconfig); export KUBECONFIG
dir=${KUBECONFIG%/run/*}
out=${OUT:-$dir/conformance}
kubectl=$dir/bin/kubectl
mkdir -p "$out"

# installed is what both runs need: the controllers and their GatewayClasses.
installed() {
  sed -n '1,/^---$/p' ../../manifests/maas/base/gateway.yaml   # GatewayClass egret alone
  echo ---; cat ../../manifests/maas/controller/controller.yaml
  echo ---; cat ../../manifests/openshift/controller.yaml
}

build() {
  local echo=registry.k8s.io/gateway-api/echo-basic
  go test -c -trimpath -o "$out/conformance.test" .
  CGO_ENABLED=0 go build -trimpath -o "$out/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic
  "$dir/bin/mkimage" -o "$dir/images/conformance-echo.tar" -name $echo:v1.5.1 -name $echo:v1.6.0-dev.2 -name $echo:v1.6.0-dev.3 \
    -entrypoint /echo-basic "$out/echo-basic:/echo-basic" >/dev/null
  "$dir/bin/mkimage" -o "$dir/images/conformance-coredns.tar" -name registry.k8s.io/coredns/coredns:v1.12.2 \
    -entrypoint /coredns "$dir/bin/coredns:/coredns" >/dev/null
}

install() {
  "$kubectl" apply --server-side $(printf -- '-f %s ' ../../manifests/crds/*.yaml) >/dev/null
  installed | "$kubectl" apply -f - >/dev/null
  # Those that ran before are of an earlier image, perhaps.
  "$kubectl" -n egret-system rollout restart deployment/egret-controller >/dev/null
  "$kubectl" -n ai-gateway-system rollout restart deployment/ai-gateway-controller >/dev/null
  "$kubectl" -n egret-system rollout status deployment/egret-controller --timeout=120s >/dev/null
  "$kubectl" -n ai-gateway-system rollout status deployment/ai-gateway-controller --timeout=120s >/dev/null
  "$kubectl" wait --for=condition=Accepted gatewayclass/egret gatewayclass/wg-ai-gateway --timeout=60s >/dev/null
}

# settled waits until what an earlier run made is gone.
settled() {
  local end=$((SECONDS + 180))
  while [[ $("$kubectl" get namespaces -o name) == *gateway-conformance-* ]]; do
    [ $SECONDS -lt $end ] || { echo "namespaces gateway-conformance-* are still there" >&2; return 1; }
    sleep 1
  done
}

suite() {
  local class=$1 rc=0; shift
  rm -f "$out/$class-report.yaml"
  KUBECONFIG=$("$cluster" kubeconfig internal) "$cluster" exec "$out/conformance.test" \
    -test.v=test2json -test.timeout 30m -test.parallel 6 -test.run '^TestConformance$' \
    -conformance-options-file options.yaml -gateway-class "$class" -report-output "$out/$class-report.yaml" "$@" \
    >"$out/$class.log" 2>&1 || rc=$?
  # Without tests the suite writes a report, too; and it can fail outside them.
  if ! grep -q '^- core:' "$out/$class-report.yaml" 2>/dev/null || { [ $rc != 0 ] && [ -z "$(ended FAIL "$class")" ]; }; then
    echo "$class: the suite did not get through its tests (exit status $rc); see $out/$class.log" >&2
    return 1
  fi
}

# ended PASS|FAIL CLASS: names of the tests that did.
ended() { sed -n "s/^[^ ]\{0,1\} *--- $1: TestConformance\/\([^/ ]*\) .*/\1/p" "$out/$2.log" | sort -u; }

# as_listed holds the failures of a run against open.txt.
as_listed() {
  local class=$1
  diff <(awk -v p="$class" '$1 == p { print $2 }' open.txt | sort) <(ended FAIL "$class") >"$out/$class.diff" && return
  sed -n "s/^> \(.*\)/$class: \1 fails/p; s/^< \(.*\)/$class: \1 is in open.txt and did not fail: strike it/p" "$out/$class.diff" >&2
  echo "see $out/$class.log" >&2
  return 1
}

build
install
failed=0
for class in ${1:-egret wg-ai-gateway}; do
  settled
  t0=$SECONDS
  suite "$class" "${@:2}" || { failed=1; continue; }
  echo "$class: $(ended PASS "$class" | wc -l) passed, $(ended FAIL "$class" | wc -l) failed, $((SECONDS - t0)) s; $out/$class-report.yaml"
  if [ $# -gt 1 ]; then ended FAIL "$class"; else as_listed "$class" || failed=1; fi
done
settled
installed | "$kubectl" delete --ignore-not-found --wait=false -f - >/dev/null
exit $failed
