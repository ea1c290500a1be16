#!/usr/bin/env bash
# run.sh [CLASS [FLAGS...]]: the suite on the test cluster for one GatewayClass,
# or for both. It prints a line per class and the logs of tests that fail; whole
# logs and reports go to $OUT, by default beside the cluster's own files. FLAGS
# are the suite's, such as -run-test NAME or -debug; with them neither open.txt
# nor docs/conformance is consulted.
#
# A report that differs from docs/conformance/CLASS.yaml in more than its date
# fails the run; REPORTS=write writes it there instead. The cluster is up and has
# the images (make cluster-up images); controllers and classes are installed,
# and removed when all is done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cluster=$PWD/../cluster/cluster.sh
reports=$PWD/../../docs/conformance
KUBECONFIG=$("$cluster" kubeconfig); export KUBECONFIG
dir=${KUBECONFIG%/run/*}
out=${OUT:-$dir/conformance-${EGRET_CLUSTER_NAME:-egret}}
kubectl=$dir/bin/kubectl
mkdir -p "$out"

declare -A controller=(
  [egret]="egret-system deployment/egret-controller"
  [wg-ai-gateway]="ai-gateway-system deployment/ai-gateway-controller"
)

build() {
  local echo=registry.k8s.io/gateway-api/echo-basic
  go test -c -trimpath -o "$out/conformance.test" .
  CGO_ENABLED=0 go build -trimpath -o "$out/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic
  "$dir/bin/mkimage" -o "$dir/images/conformance-echo.tar" -name $echo:v1.5.1 -name $echo:v1.6.0-dev.2 -name $echo:v1.6.0-dev.3 \
    -entrypoint /echo-basic "$out/echo-basic:/echo-basic" >/dev/null
  "$dir/bin/mkimage" -o "$dir/images/conformance-coredns.tar" -name registry.k8s.io/coredns/coredns:v1.12.2 \
    -entrypoint /coredns "$dir/bin/coredns:/coredns" >/dev/null
}

# installed is what both runs need: the controllers and their GatewayClasses.
installed() {
  sed -n '1,/^---$/p' ../../manifests/maas/base/gateway.yaml   # GatewayClass egret alone
  echo ---; cat ../../manifests/maas/controller/controller.yaml
  echo ---; cat ../../manifests/openshift/controller.yaml
}

install() {
  local class old=""
  for class in "${!controller[@]}"; do
    old+=$("$kubectl" get --ignore-not-found -o name -n ${controller[$class]})" "
  done
  "$kubectl" apply --server-side $(printf -- '-f %s ' ../../manifests/crds/*.yaml) >/dev/null
  installed | "$kubectl" apply -f - >/dev/null
  # A dozen Gateways at once on a node of two CPUs: their pods ask for little.
  "$kubectl" -n egret-system create configmap conformance --dry-run=client -o yaml \
    --from-literal=fleet.yaml='resources: {proxy: {requests: {cpu: 10m}}, envoy: {requests: {cpu: 10m}}, extproc: {requests: {cpu: 10m}}}' | "$kubectl" apply -f - >/dev/null
  "$kubectl" patch gatewayclass egret wg-ai-gateway --type=merge -p \
    '{"spec":{"parametersRef":{"group":"","kind":"ConfigMap","name":"conformance","namespace":"egret-system"}}}' >/dev/null
  for class in "${!controller[@]}"; do
    # One that ran before is of an earlier image, perhaps.
    [[ $old != *${controller[$class]#* deployment/}* ]] || "$kubectl" rollout restart -n ${controller[$class]} >/dev/null
  done
  for class in "${!controller[@]}"; do
    "$kubectl" rollout status -n ${controller[$class]} --timeout=120s >/dev/null
  done
  "$kubectl" wait --for=condition=Accepted gatewayclass/egret gatewayclass/wg-ai-gateway --timeout=60s >/dev/null
}

# remains tells what keeps namespaces (namespace/NAME…) from ending.
remains() {
  local ns
  for ns in "${@#namespace/}"; do
    echo "namespace $ns is still there:"
    "$kubectl" get namespace "$ns" -o jsonpath='{range .status.conditions[?(@.status=="True")]}{.type}: {.message}{"\n"}{end}' || true
    "$kubectl" get pods -n "$ns" -o wide || true
  done
}

# settled waits until what an earlier run made is gone. Kubernetes looks again at
# a namespace that had pods in it after half of their grace period, which is
# long; a change to the namespace makes it look within five seconds.
settled() {
  local end=$((SECONDS + 240)) next=$SECONDS left
  while left=$("$kubectl" get namespaces -o name | grep gateway-conformance-); do
    [ $SECONDS -lt $end ] || { remains $left >&2; return 1; }
    if [ $SECONDS -ge $next ]; then
      next=$((SECONDS + 6))
      "$kubectl" annotate --overwrite $left "look-again=$SECONDS" >/dev/null 2>&1 || true
    fi
    sleep 0.5
  done
}

# suite CLASS FLAGS...: leaves $out/CLASS.log and $out/CLASS.yaml.
suite() {
  local class=$1 rc=0; shift
  rm -f "$out/$class.yaml"
  KUBECONFIG=$("$cluster" kubeconfig internal) "$cluster" exec "$out/conformance.test" \
    -test.v=test2json -test.timeout 30m -test.parallel 6 -test.run '^TestConformance$' \
    -conformance-options-file options.yaml -gateway-class "$class" -report-output "$out/$class.yaml" "$@" \
    >"$out/$class.log" 2>&1 || rc=$?
  # Without tests the suite writes a report, too; and it can fail outside them.
  if ! grep -q '^- core:' "$out/$class.yaml" 2>/dev/null || { [ $rc != 0 ] && [ -z "$(ended FAIL "$class")" ]; }; then
    echo "$class: the suite did not get through its tests (exit status $rc):" >&2
    tail -n 40 "$out/$class.log" >&2
    return 1
  fi
}

# ended PASS|FAIL CLASS: names of the tests that did.
ended() { sed -n "s/^[^ ]\{0,1\} *--- $1: TestConformance\/\([^/ ]*\) .*/\1/p" "$out/$2.log" | sort -u; }

# tell CLASS TEST: the end of what a test logged.
tell() {
  echo "--- $1: $2"
  awk -v t="TestConformance/$2" '{ sub(/^\026/, "") } /^=== / { on = $3 == t || index($3, t "/") == 1; next } on' "$out/$1.log" |
    tail -n 40 | cut -c 1-400
}

# as_listed holds the failures of a run against open.txt.
as_listed() {
  local class=$1 test rc=0
  while read -r how test; do
    rc=1
    case $how in
      '>') tell "$class" "$test" >&2 ;;
      '<') echo "$class: $test is in open.txt and did not fail: strike it" >&2 ;;
    esac
  done < <(diff <(awk -v p="$class" '$1 == p { print $2 }' open.txt | sort) <(ended FAIL "$class") | grep '^[<>]')
  if [ $rc != 0 ]; then
    echo "--- $class: the controller" >&2
    "$kubectl" logs --tail=40 -n ${controller[$class]} >&2
  fi
  return $rc
}

# as_published holds the report against the published one.
as_published() {
  local class=$1 of=$reports/$1.yaml
  diff -I '^date:' "$of" "$out/$class.yaml" >"$out/$class.diff" 2>&1 && return
  if [ "${REPORTS:-}" = write ]; then
    mkdir -p "$reports"
    cp "$out/$class.yaml" "$of"; chmod 644 "$of"
    return
  fi
  echo "$class: the report is not docs/conformance/$class.yaml (<); REPORTS=write make conformance writes it" >&2
  cat "$out/$class.diff" >&2
  return 1
}

build
install
failed=0
for class in ${1:-egret wg-ai-gateway}; do
  settled
  t0=$SECONDS
  suite "$class" "${@:2}" || { failed=1; continue; }
  echo "$class: $(ended PASS "$class" | wc -l) passed, $(ended FAIL "$class" | wc -l) failed, $((SECONDS - t0)) s; $out/$class.log"
  if [ $# -gt 1 ]; then
    ended FAIL "$class"
  else
    as_listed "$class" && as_published "$class" || failed=1
  fi
done
settled
installed | "$kubectl" delete --ignore-not-found --wait=false -f - >/dev/null
exit $failed
